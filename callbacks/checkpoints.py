"""Checkpoints of a run, in the run's own folder."""

from __future__ import annotations

import time
from pathlib import Path
from signal import Signals
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lincae.checkpoint_files import FOLDER, link_last, path_of, remove_older, remove_partial
from lincae.stop_signals import EXIT_STATUS, StopSignals

NOTHING, SAVE, STOP = 0, 1, 2
"""What a process asks all of them to do after a step."""


class Stopped(SystemExit):
    """Ends a training that a signal asked to stop, with an exit status that tells schedulers to run it again."""

    def __init__(self, received: Signals) -> None:
        super().__init__(EXIT_STATUS[received])
        self.received = received


class Checkpoints(Checkpoint):
    """Saves `checkpoints/step=N.ckpt` after every validation and now and then between, and links `last.ckpt` to it.

    Also when the run is stopped, by `StopAfter` or by a signal (SIGTERM, SIGUSR1, Ctrl-C): after the step, or in place
    of the rest of a validation, which is then repeated. `--ckpt_path last` continues from there. The exit status is 75
    then, after Ctrl-C 130. The identity of a W&B run is kept in the checkpoint, so that a resumed run goes on in the
    same one.

    Args:
        keep: how many of the newest to keep: 2 or more, so that one that is damaged is not the only one; -1 for all.
        every_n_train_steps: also save every so many optimiser steps.
        every_minutes: also save once so many minutes have passed since the last time; None for never.
    """

    def __init__(
        self, keep: int = 2, every_n_train_steps: int | None = None, every_minutes: float | None = 30.0
    ) -> None:
        if keep < 2 and keep != -1:
            raise ValueError(f"keep must be 2 or more, or -1 for all, got {keep}: the newest checkpoint may be damaged")
        if every_n_train_steps is not None and every_n_train_steps < 1:
            raise ValueError(f"every_n_train_steps must be 1 or more, got {every_n_train_steps}")
        if every_minutes is not None and every_minutes < 0:
            raise ValueError(f"every_minutes must be 0 or more, got {every_minutes}")
        self.keep, self.every_n_train_steps, self.every_minutes = keep, every_n_train_steps, every_minutes
        self.signals = StopSignals()
        self.folder = Path()
        self._step = self._saved_step = 0
        self._saved_at = time.monotonic()
        self._asked: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder = Path(trainer.default_root_dir) / FOLDER
        if stage == "fit" and trainer.is_global_zero:
            remove_partial(self.folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.signals.catch()  # the trainer, which ends with status 0 at SIGTERM, has begun to listen before
        # and asks the first process for one before each batch, while all of them wait
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]
        self._step = self._saved_step = trainer.global_step
        self._saved_at = time.monotonic()

    def request(self, trainer: Trainer, step: int) -> int:
        """What this process asks all of them to do after a step."""
        return STOP if self._asked_to_stop(trainer) else SAVE if self._is_due(step) else NOTHING

    def tell(self, request: int) -> None:
        """Takes the most that any process asks for after this step, where they told each other already."""
        self._asked = request

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        (step, before), asked = (trainer.global_step, self._step), self._asked
        self._step, self._asked = step, None
        # between the batches of one optimiser step there is nothing to continue from, and after the last of an epoch,
        # or of the run, comes validation
        if step == before or trainer.is_last_batch or trainer.should_stop:
            return
        if asked is None:
            asked = self._agreed(trainer, self.request(trainer, step))
        if asked == STOP:
            trainer.should_stop = True  # once this step is logged; then comes `on_validation_start`
        elif asked == SAVE:
            self._save(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._stop_if_asked(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.world_size == 1:  # of several processes each has its own number of batches: they go to the end
            self.on_validation_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer)
        self._stop_if_asked(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Saves a run that was asked to stop. After other exceptions the weights may be those of half a step."""
        if not isinstance(exception, Stopped):
            return
        if trainer.validating and trainer.is_last_batch:  # a resumed run begins with the first batch of this validation
            progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
            progress.reset()
            progress.increment_ready()
            progress.increment_started()
        if trainer.validating or self._saved_step != trainer.global_step:
            self._save(trainer)
        rank_zero_info(
            f"stopped by {exception.received.name} after step {trainer.global_step} of {trainer.max_steps}, saved in "
            f"{path_of(self.folder, trainer.global_step)}. The same command with --ckpt_path=last continues "
            f"(exit status {exception.code})"
        )

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        ids = [logger.experiment.id for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        checkpoint["wandb_id"] = ids[0] if ids else None

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:  # it would block the run that it tries out
            return
        step = trainer.global_step
        path = path_of(self.folder, step)
        trainer.save_checkpoint(path, weights_only=False)
        if trainer.is_global_zero:
            link_last(path)
            if self.keep > 0:
                remove_older(self.folder, step, self.keep)
        self._saved_step, self._saved_at = step, time.monotonic()

    def _is_due(self, step: int) -> bool:
        by_step = self.every_n_train_steps is not None and step % self.every_n_train_steps == 0
        by_time = self.every_minutes is not None and time.monotonic() - self._saved_at >= 60 * self.every_minutes
        return by_step or by_time

    def _asked_to_stop(self, trainer: Trainer) -> bool:
        return self.signals.received is not None or trainer.received_sigterm

    def _stop_if_asked(self, trainer: Trainer) -> None:
        """All processes stop at the same step, whichever of them a signal reached. A run that is through just ends."""
        if trainer.global_step != trainer.max_steps and self._agreed(trainer, STOP * self._asked_to_stop(trainer)):
            raise Stopped(self.signals.received or Signals.SIGTERM)

    def _agreed(self, trainer: Trainer, request: int) -> int:
        """The most that any process asks for."""
        if trainer.world_size == 1:
            return request
        asked = torch.full((), request, device=trainer.strategy.root_device)
        torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
        return int(asked)
