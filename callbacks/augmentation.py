"""What every augmentation shares: it rewrites a batch's mixing matrix, at its place in the order."""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise
from typing import ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lincae.mixing import Batch, Mixture
from lincae.streams import Draws


class Stage(IntEnum):
    """The order of augmentations: rows are mixed, then scaled, then capped, then perhaps materialized."""

    MIX = 0
    SCALE = 1
    CAP = 2
    MATERIALIZE = 3


class Augmentation(Callback):
    """Base of the augmentations: a subclass names its `stage` and implements `rewrite`.

    Raises:
        MisconfigurationException: when training starts with augmentations listed in another order than their stages.
    """

    stage: ClassVar[Stage] = Stage.SCALE

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        """The mixture under a new matrix.

        Args:
            mixture: sources X (S, T) and matrix A (N, S).
            draws: the batch's random streams. Name the purpose after the augmentation, so that no other shares it.
            module: the module in training, for its schedules and its log.

        Returns:
            Usually `mixture.rewritten(matrix)`.
        """
        raise NotImplementedError

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        listed = [c for c in trainer.callbacks if isinstance(c, Augmentation)]
        for before, after in pairwise(listed):
            if before.stage > after.stage:
                raise MisconfigurationException(
                    f"{type(after).__name__} must come before {type(before).__name__}: list augmentations as mixes, "
                    "gains and polarity, peak limit, Materialize"
                )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int) -> None:
        batch.mixture = self.rewrite(batch.mixture, batch.draws, pl_module)
