"""Warn of latents that come to say nothing."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lincae.mixing import Batch
from lincae.rhythm import looks


class LatentCollapse(Callback):
    """Warns once when the standard deviation of the latents has fallen towards zero.

    Where all latents are alike, decoded sums and scaled latents agree with each other, and only reconstruction shows
    that nothing was learned. The deviation is averaged on the device, and fetched whenever the trainer logs.

    Args:
        share: of the highest level so far, below which the latents count as collapsed. The demo's trainings fall to
            0.15 of theirs at some steps.

    Raises:
        ValueError: if the share is not between 0 and 1.
    """

    def __init__(self, share: float = 0.02) -> None:
        if not 0 < share < 1:
            raise ValueError(f"share must be between 0 and 1, got {share}")
        self.share = share
        self.highest, self.highest_step, self.warned = 0.0, 0, False
        self._levels: list[Tensor] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        assert batch.latents is not None  # the step is taken
        self._levels.append(batch.latents.std())
        if looks(trainer, trainer.global_step):
            level = float(torch.stack(self._levels).mean())
            self._levels = []
            self._judge(level, trainer.global_step)

    def _judge(self, level: float, step: int) -> None:
        if level > self.highest:
            self.highest, self.highest_step = level, step
        elif level < self.share * self.highest and not self.warned:
            self.warned = True
            rank_zero_warn(
                f"THE LATENTS ARE COLLAPSING: their standard deviation is {level:.2g} at step {step}, and was "
                f"{self.highest:.2g} at step {self.highest_step}. The decoder is learning to do without them, and "
                "figures of linearity will look better than they are. See train/latent_std and val/shuffled/mss; go "
                "back to an earlier checkpoint with a lower learning rate, or start again with another seed"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"highest": self.highest, "highest_step": self.highest_step, "warned": self.warned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.highest, self.highest_step = state_dict["highest"], state_dict["highest_step"]
        self.warned = state_dict["warned"]
