"""Ordinary reconstruction beside the augmented rows: the explicit form of the objective."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture
from lincae.streams import Draws


class PlainRows(Augmentation):
    """Appends a row for every clip as it is, which no gain changes where this is listed after the gains.

    Then the loss is a sum of two terms, reconstruction and linearity. Without it linearity is implicit: there is one
    term, and reconstruction is the case of a row that happens to be a clip.
    """

    stage = Stage.SCALE

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        groups, clips = len(draws.groups), len(mixture.sources)
        plain = torch.eye(clips, device=mixture.matrix.device).view(groups, -1, clips)
        return mixture.rewritten(torch.cat([mixture.matrix.view(groups, -1, clips), plain], dim=1).flatten(0, 1))
