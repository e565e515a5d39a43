"""Implicit homogeneity: random gains on the rows of the mixing matrix."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture, random_gains
from lincae.streams import Draws


class Gain(Augmentation):
    """Scales target and latent of a row alike, a ~ U(low, high) in the module's current gain range.

    The decoder is never told the gain: it has to read it off the size of the latent.

    Args:
        probability: share of rows that get a gain.
        snap: gains smaller than this in magnitude become 0, so that the decoder learns silence.
    """

    stage = Stage.SCALE

    def __init__(self, probability: float = 0.8, snap: float = 0.05) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability}")
        if snap < 0:
            raise ValueError(f"snap must be 0 or more, got {snap}")
        self.probability, self.snap = probability, snap

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        low, high = module.gain_range
        rows = len(mixture.matrix)
        gains = random_gains(
            draws.uniform("gain", rows), draws.uniform("gain chance", rows), low, high, self.probability, self.snap
        )
        return mixture.rewritten(gains[:, None] * mixture.matrix)
