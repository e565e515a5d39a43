"""`torch.compile` of the networks for the steps of a training."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class Compilation(Callback):
    """Compiles the autoencoder's `networks()` when training starts; validation runs them as they are written.

    So a training has one graph for each network (two for one that runs with and without gradients), whatever the many
    shapes of a validation. The module creates it.

    Args:
        wanted: None compiles on a GPU where a compiler works, and says in a line why it does not elsewhere.

    Raises:
        MisconfigurationException: when training starts, if it is wanted of an autoencoder without `networks()`.
    """

    def __init__(self, wanted: bool | None) -> None:
        self.wanted = wanted

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.wanted is False:
            return
        autoencoder: Any = pl_module.autoencoder
        if self.wanted and not hasattr(autoencoder, "networks"):
            raise MisconfigurationException(
                f"{type(autoencoder).__name__} has no networks(), which names what to compile: add it, or set "
                "--model.compile=false"
            )
        if self.wanted is None and (reason := why_not(autoencoder, pl_module.device)):
            rank_zero_info(f"The networks run uncompiled: {reason}")
            return
        for network in autoencoder.networks():
            network.compile()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.compiler.set_stance("force_eager")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.compiler.set_stance("default")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        torch.compiler.set_stance("default")


def why_not(autoencoder: torch.nn.Module, device: torch.device) -> str | None:
    """Why networks are not to be compiled unasked; None where they are."""
    if not hasattr(autoencoder, "networks"):
        return f"{type(autoencoder).__name__} has no networks(), which names what to compile"
    if device.type == "cpu":
        return "on a CPU that takes minutes and gains little. --model.compile=true does it nevertheless"
    try:
        torch.compile(torch.sin)(torch.zeros(8, device=device))
    except Exception as error:  # whatever a compiler, a driver or a tool that they call finds wrong
        return f"the compiler does not work on {device} ({str(error).strip().splitlines()[0]})"
    return None
