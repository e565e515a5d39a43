"""Random polarity: some rows change their sign."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture
from lincae.streams import Draws


class Polarity(Augmentation):
    """Multiplies target and latent of a row by -1, so that subtracting latents is something training has seen.

    Args:
        probability: share of rows that are flipped.
    """

    stage = Stage.SCALE

    def __init__(self, probability: float = 0.5) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability}")
        self.probability = probability

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        flips = draws.uniform("polarity", len(mixture.matrix)) < self.probability
        return mixture.rewritten((1 - 2 * flips.float())[:, None] * mixture.matrix)
