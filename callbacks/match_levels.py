"""Clips of a mix are brought to one level before they are mixed."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture, matched_levels
from lincae.streams import Draws


class MatchLevels(Augmentation):
    """In each row the clips get the level of the one with the largest weight; rows of one clip stay as they are.

    Where levels differ by 20 dB, the louder of two clips hides the other, and a mix teaches little.

    Args:
        silence: root mean square below which a clip counts as this loud, so that noise is not blown up.
    """

    stage = Stage.MIX

    def __init__(self, silence: float = 1e-3) -> None:
        if silence <= 0:
            raise ValueError(f"silence must be positive, got {silence}")
        self.silence = silence

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        levels = mixture.sources.flatten(1).square().mean(dim=1).sqrt().clamp_min(self.silence)
        return mixture.rewritten(matched_levels(mixture.matrix, levels))
