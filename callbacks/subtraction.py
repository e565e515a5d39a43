"""Rows that subtract the latent of a clip from that of a mix."""

from __future__ import annotations

import torch
from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture
from lincae.streams import Draws


class SubtractionRows(Augmentation):
    """For each mix m of the batch, the row Enc(m) - w Enc(u), whose target is the rest, m - w u.

    u is the clip with the largest weight w in the mix. The mix itself goes through the encoder, as one more source, as
    in separation by subtraction. (Subtracting w Enc(u) from a mixed latent would leave a row that is there without.)

    Args:
        probability: share of the mixes that get such a row; the others are encoded as they are.
    """

    stage = Stage.MIX

    def __init__(self, probability: float = 1.0) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {probability}")
        self.probability = probability

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        groups, clips = len(draws.groups), len(mixture.sources)
        blocks = mixture.matrix.view(groups, -1, clips)
        mixes = blocks[:, clips // groups :].flatten(0, 1)  # under the clips of each group, whatever their weights are
        if not len(mixes):
            raise RuntimeError(
                "SubtractionRows found no row that mixes clips: give data.mixes, or list it after KSources"
            )
        clip = mixes.abs().argmax(dim=1, keepdim=True)
        subtracted = torch.zeros_like(mixes).scatter(1, clip, mixes.gather(1, clip))
        subtracted *= (draws.uniform("subtraction", len(mixes)) < self.probability).float()[:, None]
        rows = torch.cat([-subtracted, torch.eye(len(mixes), device=mixes.device)], dim=1)
        kept = torch.cat([mixture.matrix, mixture.matrix.new_zeros(len(mixture.matrix), len(mixes))], dim=1)
        columns = clips + len(mixes)
        matrix = torch.cat([kept.view(groups, -1, columns), rows.view(groups, -1, columns)], dim=1).flatten(0, 1)
        return mixture.with_sources(mixes, matrix)
