"""Stop early, without telling the schedules."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class StopAfter(Callback):
    """Ends the run once so many optimiser steps are taken; `--ckpt_path last` continues it.

    A smaller `max_steps` would compress every schedule instead.

    Args:
        steps: optimiser steps of the whole training, those before a resume included.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        self.steps = steps

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step >= self.steps:
            trainer.should_stop = True
