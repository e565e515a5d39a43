"""Materialize: ordinary input augmentation, the baseline of every comparison."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture
from lincae.streams import Draws


class Materialize(Augmentation):
    """The mixed waveforms themselves go through the encoder, so that nothing teaches linearity (Music2Latent)."""

    stage = Stage.MATERIALIZE

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        return mixture.materialized()
