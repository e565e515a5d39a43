"""Stop a training whose numbers are broken, before its weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from callbacks.checkpoints import Checkpoints
from lincae.broken_step import BrokenStep
from lincae.mixing import Batch

LOSS, GRADIENT = 2, 1
"""Verdicts on a batch; 0 is a good one."""


class FiniteLoss(Callback):
    """Stops at the first step whose loss or gradient is NaN or infinite, before the weights change.

    All that the step depends on goes to `broken/step=N.pt` in the run's folder, and `lincae replay` takes it again. Of
    several processes all stop, and those whose numbers broke first write `broken/step=N-process=R.pt`.

    On a GPU each batch is judged on the device. The host fetches the verdicts once for an optimiser step, when all of
    its backward pass is queued: later the weights would have changed. Several processes exchange them together with
    what they ask of `Checkpoints`, so that a step has one exchange that the host waits for.

    Args:
        skip: optimiser steps that may be left out in the whole training instead of stopping it. A skipped step counts
            as taken, but changes neither weights nor the optimiser's state. `train/skipped_steps` counts them, and
            checkpoints go on counting. A file is written for the first one, and for the one that stops the training.

    Raises:
        MisconfigurationException: when training starts, if steps may be skipped under `16-mixed`, whose scaler does so.
    """

    def __init__(self, skip: int = 0) -> None:
        if skip < 0:
            raise ValueError(f"skip must be 0 or more, got {skip}")
        self.skip, self.skipped = skip, 0
        self._batches: list[Batch] = []
        self._verdicts: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches, self._verdicts = [], []
        if self.skip and has_scaler(trainer):
            raise MisconfigurationException(
                f"finite_loss.skip is {self.skip}, but the loss scaling of 16-mixed skips steps by itself: set it to "
                "0, or train in bf16-mixed"
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        self._batches.append(batch)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        losses = self._batches[-1].losses
        assert losses is not None  # the step is taken
        verdict = LOSS * ~torch.isfinite(losses.mean())
        if not has_scaler(trainer):  # which expects infinite gradients
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            verdict = torch.maximum(verdict, GRADIENT * ~torch.isfinite(get_total_norm(gradients)))
        self._verdicts.append(verdict)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        batches, verdicts = self._batches, torch.stack(self._verdicts)
        self._batches, self._verdicts = [], []
        asking = [c for c in trainer.callbacks if isinstance(c, Checkpoints) and trainer.world_size > 1]
        requests = [verdicts.new_full((1,), callback.request(trainer, trainer.global_step + 1)) for callback in asking]
        told = trainer.strategy.all_gather(torch.cat([verdicts, *requests]))
        by_process = told.view(trainer.world_size, -1).tolist()  # the host waits here
        by_batch = [max(column) for column in zip(*by_process, strict=True)]
        for callback in reversed(asking):
            callback.tell(by_batch.pop())
        if any(by_batch):
            first = next(number for number, worst in enumerate(by_batch) if worst)
            guilty = [rank for rank, row in enumerate(by_process) if row[first] == by_batch[first]]
            self._break(trainer, pl_module, batches[first], first, guilty, by_batch[first])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self.skip:
            pl_module.log("train/skipped_steps", float(self.skipped))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if not torch.isfinite(get_total_norm(pl_module.parameters())):
            raise RuntimeError(
                f"the weights after step {trainer.global_step} are not finite, and no checkpoint is written of them. "
                "Resume from an earlier one with a lower learning rate"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]

    def _break(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, number: int, guilty: list[int], verdict: int
    ) -> None:
        """Skip the step, or stop."""
        stop = self.skipped >= self.skip
        broken = describe(trainer, pl_module, batch, number, "loss" if verdict == LOSS else "gradient")
        places = [place_of(trainer, broken.step, process) for process in guilty]
        kept = "the file of the first such step says more"
        if stop or not self.skipped:
            kept = f"lincae replay {places[0]} shows where"
            if broken.process in guilty:
                broken.save(place_of(trainer, broken.step, broken.process))
        trouble = f"the {broken.what} of step {broken.step} is not finite"
        if stop:
            raise RuntimeError(
                f"{trouble}. The weights are those before it: {kept}. Resume from the last checkpoint with a lower "
                f"learning rate, with --trainer.gradient_clip_val, or with --callbacks.finite_loss.skip={self.skip + 1}"
            )
        self.skipped += 1
        rank_zero_warn(f"{trouble} and skipped, the {self.skipped}. of {self.skip} that may be: {kept}")
        for parameter in pl_module.parameters():
            parameter.grad = None  # the optimiser leaves such parameters alone


def has_scaler(trainer: Trainer) -> bool:
    """Whether the loss is scaled, as in `16-mixed`, so that infinite gradients are nothing unusual."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def place_of(trainer: Trainer, step: int, process: int) -> Path:
    """The file of a broken step."""
    suffix = f"-process={process}" if trainer.world_size > 1 else ""
    return Path(trainer.default_root_dir) / "broken" / f"step={step}{suffix}.pt"


def describe(trainer: Trainer, pl_module: Any, batch: Batch, number: int, what: str) -> BrokenStep:
    """The step that is being taken, as this process has it."""
    mixture, draws = batch.mixture, batch.draws
    assert batch.losses is not None  # the step is taken
    return BrokenStep(
        what=what,
        step=trainer.global_step + 1,
        micro_batch=number,
        process=trainer.global_rank,
        progress=pl_module.progress,
        gain_range=pl_module.gain_range,
        sources=mixture.sources,
        matrix=mixture.matrix,
        implicit=mixture.implicit,
        origins=[(origin.file, origin.start) for origin in batch.origins],
        losses=batch.losses,
        seed=draws.seed,
        groups=list(draws.groups),
        device=torch.device(draws.device).type,
        weights=pl_module.autoencoder.state_dict(),
        config=pl_module.config,
    )
