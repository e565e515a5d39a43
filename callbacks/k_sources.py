"""Mixes of more than two sources."""

from __future__ import annotations

from typing import Literal

import torch
from lightning.pytorch import LightningModule

from callbacks.augmentation import Augmentation, Stage
from lincae.mixing import Mixture, k_source_mixes
from lincae.streams import Draws


class KSources(Augmentation):
    """One mix of k clips of its group for every clip, with weights that are uniform among those that sum to 1.

    Args:
        sources: k, at most the clips of a mix group.
        fewest: if given, k is drawn for each mix, evenly from `fewest` to `sources`.
        rows: `"add"` appends the mixes to the rows there are; `"replace"` puts them in the place of the mixes that the
            data module made, and keeps the plain clips.
    """

    stage = Stage.MIX

    def __init__(self, sources: int = 4, rows: Literal["add", "replace"] = "add", fewest: int | None = None) -> None:
        if sources < 2:
            raise ValueError(f"a mix needs 2 sources or more, got {sources}")
        if rows not in ("add", "replace"):
            raise ValueError(f"rows must be 'add' or 'replace', got {rows!r}")
        if fewest is not None and not 2 <= fewest <= sources:
            raise ValueError(f"fewest must be from 2 to sources, {sources}, got {fewest}")
        self.sources, self.rows, self.fewest = sources, rows, fewest

    def rewrite(self, mixture: Mixture, draws: Draws, module: LightningModule) -> Mixture:
        clips, groups = len(mixture.sources), len(draws.groups)
        numbers = None
        if self.fewest is not None:
            choices = self.sources - self.fewest + 1
            numbers = self.fewest + (choices * draws.uniform("number of sources", clips)).long()
        choice = draws.uniform("k sources", clips, clips // groups)
        mixes = k_source_mixes(choice, draws.uniform("weights of k sources", clips, self.sources - 1), numbers)
        kept = mixture.matrix.view(groups, -1, clips)
        if self.rows == "replace":
            kept = torch.eye(clips, device=mixes.device).view(groups, -1, clips)
        return mixture.rewritten(torch.cat([kept, mixes.view(groups, -1, clips)], dim=1).flatten(0, 1))
