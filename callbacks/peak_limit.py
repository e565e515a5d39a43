"""Peak limit: no target clips."""

from __future__ import annotations

from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture, peak_gains
from lincae.streams import Draws


class PeakLimit(Augmentation):
    """Scales a row of the matrix down until its target stays within full scale; the sign is kept.

    Latent and target stay consistent. A clip that peaks at 1 never sees a gain above 1: the share of capped rows is
    logged as `train/capped_rows`.

    Args:
        ceiling: largest magnitude of a target.
    """

    stage = Stage.CAP

    def __init__(self, ceiling: float = 1.0) -> None:
        if ceiling <= 0:
            raise ValueError(f"ceiling must be positive, got {ceiling}")
        self.ceiling = ceiling

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        gains = peak_gains(mixture.targets, self.ceiling)
        module.log("train/capped_rows", (gains < 1).float().mean())
        return mixture.rewritten(gains[:, None] * mixture.matrix)
