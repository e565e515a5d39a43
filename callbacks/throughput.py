"""Speed of training: clips per second, and how much of the time was spent waiting for data."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lincae.mixing import Batch
from lincae.rhythm import looks


class Throughput(Callback):
    """Logs how fast training is, and what it waits for.

    `train/clips_per_second` and `train/data_wait` are over the steps since the last log; `train/data_wait` is the share
    of wall-clock time between the end of one batch and the start of the next. `train/validation_share` is the share of
    all time since training began that validations took, with the figures that callbacks before this one compute.
    """

    def __init__(self) -> None:
        self._validated = 0.0
        self._reset()

    def _reset(self) -> None:
        self._since = self._idle_since = time.perf_counter()
        self._clips = 0
        self._waited = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started, self._validated = time.perf_counter(), 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self._waited += time.perf_counter() - self._idle_since
        self._clips += len(batch.mixture.sources) * trainer.world_size

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if looks(trainer, trainer.global_step):
            elapsed = now - self._since
            pl_module.log("train/clips_per_second", self._clips / elapsed)
            pl_module.log("train/data_wait", self._waited / elapsed)
            pl_module.log("train/validation_share", self._validated / (now - self._started))
            self._reset()
        self._idle_since = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._validated += (took := time.perf_counter() - self._validation_began)
            share = self._validated / (time.perf_counter() - self._started)
            rank_zero_info(f"Validation took {took:.1f} s; all so far took {share:.1%} of the training's time")
