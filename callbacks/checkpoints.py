"""Checkpoints of a run, in the run's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger


class Checkpoints(ModelCheckpoint):
    """Saves `checkpoints/step=N.ckpt` after every validation, and `last.ckpt`.

    Also when a run is stopped, so that `--ckpt_path last` continues from there. The identity of a W&B run is kept in
    the checkpoint, so that a resumed run goes on in the same one.

    Args:
        keep: how many of the newest to keep beside `last.ckpt`.
        every_n_train_steps: also save every so many optimiser steps; None for validations alone.
    """

    def __init__(self, keep: int = 1, every_n_train_steps: int | None = None) -> None:
        super().__init__(
            filename="{step}",
            monitor="step",
            mode="max",
            save_top_k=keep,
            save_last=True,
            every_n_train_steps=every_n_train_steps,
            every_n_epochs=None if every_n_train_steps else 1,
            save_on_train_epoch_end=True,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        ids = [logger.experiment.id for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        checkpoint["wandb_id"] = ids[0] if ids else None
