"""Stop a training whose numbers are broken."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class FiniteLoss(Callback):
    """Raises once a loss was NaN or infinite, and names the first step at which it was.

    The loss is looked at on the device after every step, and the result fetched every `log_every_n_steps` and before a
    checkpoint is written: no checkpoint ever holds the weights that came of it. Clips and draws of a step are functions
    of its number and the seeds, so the last checkpoint and the configuration beside it repeat what happened.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: dict[str, Tensor], batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"].detach()
        if self._first is None:
            self._first = torch.full((), -1, device=loss.device)
        broken = ~torch.isfinite(loss) & (self._first < 0)
        self._first = torch.where(broken, trainer.global_step, self._first)
        if trainer.global_step % trainer.log_every_n_steps == 0:
            self._check(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        step = -1 if self._first is None else int(self._first)
        if step >= 0:
            raise RuntimeError(
                f"the loss of step {step} is not finite. Checkpoints in {trainer.default_root_dir} are older; "
                "resuming from one repeats what happened. Try a lower learning rate, or --trainer.gradient_clip_val"
            )
