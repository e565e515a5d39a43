"""Train a part of the autoencoder, and leave the rest as it is."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException


class TrainOnly(Callback):
    """Freezes all parameters of the autoencoder but those of the named parts.

    Gradients still pass through frozen parts: an encoder can be trained by the loss of a frozen decoder.

    Args:
        parts: submodules of the autoencoder, such as `encoder`.

    Raises:
        ValueError: if no part is named.
        MisconfigurationException: when training starts, if a part does not exist.
    """

    def __init__(self, parts: list[str]) -> None:
        if not parts:
            raise ValueError("parts must name what is trained, such as [encoder]")
        self.parts = tuple(parts)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        autoencoder = pl_module.autoencoder
        parts = {name: part for name, part in autoencoder.named_children() if list(part.parameters())}
        if unknown := [name for name in self.parts if name not in parts]:
            raise MisconfigurationException(f"TrainOnly names {unknown}, but the autoencoder has {list(parts)}")
        for name, part in parts.items():
            part.requires_grad_(name in self.parts)
