"""Speed of training: clips per second, and how much of the time was spent waiting for data."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lincae.mixing import Batch


class Throughput(Callback):
    """Logs `train/clips_per_second` and `train/data_wait`, both over the steps since the last log.

    `train/data_wait` is the share of wall-clock time between the end of one batch and the start of the next.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._since = self._idle_since = time.perf_counter()
        self._clips = 0
        self._waited = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._reset()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self._waited += time.perf_counter() - self._idle_since
        self._clips += len(batch.mixture.sources) * trainer.world_size

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if trainer.global_step % trainer.log_every_n_steps == 0:
            elapsed = now - self._since
            pl_module.log("train/clips_per_second", self._clips / elapsed, prog_bar=True)
            pl_module.log("train/data_wait", self._waited / elapsed)
            self._reset()
        self._idle_since = time.perf_counter()
