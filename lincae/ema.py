"""Averaged weights: an exponential moving average that validation and checkpoints use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lincae.schedules import ema_decay

SHARDING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)


@dataclass(frozen=True)
class EMA:
    """How the averaged weights follow the trained ones.

    Args:
        decay: share of the old average that an update keeps, once warmed up.
        every: optimiser steps between updates; 0.9999 every 10th step averages over about 100,000 steps.
    """

    decay: float = 0.9999
    every: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1 or self.every < 1:
            raise ValueError(f"needs 0 <= decay < 1 and every >= 1, got decay={self.decay}, every={self.every}")


class AveragedWeights(WeightAveraging):
    """Keeps the average; swaps it in for validation and into `state_dict` of every checkpoint.

    The module creates it, so that no list of callbacks can lose it. In a checkpoint `state_dict` holds the averaged
    weights and `current_model_state` those that training continues from, which also stay in the module when training
    ends. The planned last step updates as well, so that a run shorter than `every` steps is not evaluated at its
    initial weights.

    At each update the averaged encoder also encodes the batch's clips, as they came, in float32: the standard deviation
    of its latents over the last quarter of the updates, 1,000 at most, is kept with every checkpoint. Nothing is drawn
    for it, and of several processes all measure all clips.

    Args:
        settings: decay and interval.
        total_steps: planned length of the training.
    """

    def __init__(self, settings: EMA, total_steps: int) -> None:
        super().__init__(use_buffers=False)
        self.settings, self.total_steps = settings, total_steps
        self.updates = 0
        self._moments: Tensor | None = None  # means of z and z^2, where the newest counts most
        self._swapped = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copies the networks alone: the module also holds parts of the command line, which cannot be copied.

        Raises:
            MisconfigurationException: if the strategy gives each process a part of the weights.
        """
        if stage == "fit":
            if isinstance(trainer.strategy, SHARDING):
                raise MisconfigurationException(
                    f"{type(trainer.strategy).__name__} gives each process a part of the weights, but averaged weights "
                    "are kept whole: use --trainer.strategy=ddp, and for memory --trainer.accumulate_grad_batches"
                )
            self._average_model = AveragedModel(nn.ModuleDict(dict(pl_module.named_children())), pl_module.device)
            self._average_model.eval()

    def restart(self, pl_module: LightningModule) -> None:
        """Begin the average at the module's weights as they are now."""
        assert self._average_model is not None  # made in setup
        self._average_model.module.load_state_dict(pl_module.state_dict())

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Whether the zero-based optimiser step just taken is one that updates the average."""
        if step_idx is None:
            return False
        taken = step_idx + 1
        return taken % self.settings.every == 0 or taken == self.total_steps

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        if step <= self._latest_update_step or not self.should_update(step_idx=step - 1):
            return
        self._latest_update_step = step
        self.updates += 1
        weight = 1 - ema_decay(self.updates, self.settings.decay)
        assert self._average_model is not None  # made in setup
        averaged = self._average_model.module.parameters()
        torch._foreach_lerp_(list(averaged), list(pl_module.parameters()), weight)
        for kept, trained in zip(self._average_model.module.buffers(), pl_module.buffers(), strict=True):
            kept.copy_(trained)
        self._measure(trainer, batch.clips)

    @property
    def latent_std(self) -> float:
        """Standard deviation of the averaged encoder's latents of training clips; NaN before the first update."""
        if self._moments is None:
            return math.nan
        mean, square = self._moments.double().tolist()
        return math.sqrt(max(0.0, square - mean**2))

    def _measure(self, trainer: Trainer, clips: Tensor) -> None:
        """Counts the latents of clips (S, T) of all processes in the moments, without waiting for the device."""
        averaged: Any = self._average_model  # made in setup
        latents = averaged.module["autoencoder"].encode(clips).float()
        found = torch.stack([latents.mean(), latents.square().mean()])
        found = trainer.strategy.all_gather(found).view(-1, 2).mean(dim=0)
        if self._moments is None:
            self._moments = found
        else:
            self._moments = self._moments.to(found.device).lerp(found, max(4 / (self.updates + 3), 1e-3))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        self._swapped = self._average_model is not None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_epoch_end(trainer, pl_module)
        self._swapped = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Swap the trained weights back if validation broke off, before anything saves them."""
        if self._swapped:
            self._swap_models(pl_module)
            self._swapped = False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unlike the base class, leave the trained weights in the module."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "updates": self.updates, "moments": self._moments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.updates = state_dict["updates"]
        self._moments = state_dict.get("moments")  # checkpoints of before have none
