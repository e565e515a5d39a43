"""Figures per clip, collected over batches and processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from lincae.metrics.bootstrap import interval, resampled_means


class Summary(NamedTuple):
    """A figure of a set of clips.

    Attributes:
        value: 0-dim.
        low, high: bounds of its 95 % interval, 0-dim, NaN where there is none; or None, as for all that follow, if the
            figure is a number of clips.
        number: how many clips have it.
        clips: its value for each clip, (clips,), NaN where there is none; None if single clips have none.
    """

    value: Tensor
    low: Tensor | None = None
    high: Tensor | None = None
    number: int | None = None
    clips: Tensor | None = None


class ClipTable(Metric):
    """A table of figures, one row per evaluation clip and one named column per figure.

    Each clip has a fixed row, so processes of a distributed run add their tables up, and the result is exact whatever
    their shares: a clip that a sampler repeats for padding counts once, and a process may have no clip at all. A figure
    may be absent for a clip, such as a distance to a silent target.

    A figure that came out as NaN is not absent: it makes the mean NaN.

    Args:
        clips: number of clips in the evaluation set.
        columns: names of the figures.

    Attributes:
        averages: figures that are the mean of several columns' means, and those columns. A column that no clip has does
            not count.

    Raises:
        ValueError: if two columns have the same name.
    """

    full_state_update = False
    is_differentiable = False

    averages: Mapping[str, Sequence[str]] = {}
    total: Tensor
    seen: Tensor

    def __init__(self, clips: int, columns: Sequence[str]) -> None:
        super().__init__()
        if len(set(columns)) < len(columns):
            raise ValueError(f"columns must have distinct names, got {list(columns)}")
        self.columns = tuple(columns)
        self.add_state("total", torch.zeros(clips, len(columns), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(clips, len(columns), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, values: Tensor, clip_index: Tensor, present: Tensor | None = None) -> None:
        """Add rows to the table; a clip that comes more than once is averaged.

        Args:
            values: figures, (N, columns).
            clip_index: the clip that each row belongs to, (N,), integers in [0, clips).
            present: which figures exist, bool, (N, columns) or (N, 1); all of them by default.
        """
        if present is None:
            present = torch.ones_like(values, dtype=torch.bool)
        self.total.index_add_(0, clip_index, torch.where(present, values.double(), 0.0))
        self.seen.index_add_(0, clip_index, present.expand_as(values).long())

    def compute(self) -> dict[str, Tensor]:
        """Each column's mean over the clips that have it, and `averages` of these, float64; NaN if no clip has any."""
        has = self.seen > 0
        means = torch.where(has, self.total / self.seen, 0.0).sum(dim=0) / has.sum(dim=0)
        return {name: means[columns].mean() for name, columns in self.averaged_columns().items()}

    def averaged_columns(self) -> dict[str, list[int]]:
        """For every figure the columns whose means it averages: its own, or those in `averages` that some clip has."""
        own = {name: [place] for place, name in enumerate(self.columns)}
        counts = self.counts()
        return own | {
            name: [place for column in columns if counts[column] for place in own[column]]
            for name, columns in self.averages.items()
        }

    def summaries(self, groups: Tensor | None = None) -> dict[str, Summary]:
        """Every figure with its interval, by the bootstrap, and its value for each clip.

        An average is resampled as a whole: of each resample the mean of its columns' means. Its value for a clip is the
        mean of the columns that the clip has.

        Args:
            groups: the group of each clip, such as its track, (clips,), integers; see `bootstrap`.
        """
        values, has, columns = self.per_clip().cpu(), self._has().cpu(), self.averaged_columns()
        means = resampled_means(values, groups)
        found = {}
        for name, value in self.compute().items():
            found[name] = Summary(value)
            if of := columns.get(name):
                low, high = interval(means[:, of].mean(dim=1))
                found[name] = Summary(value, low, high, int(has[:, of].any(dim=1).sum()), values[:, of].nanmean(dim=1))
        return found

    def per_clip(self) -> Tensor:
        """The whole table, of all processes: (clips, columns), float64, NaN where a figure is absent."""
        with self._gathered():
            return self.total / self.seen

    def counts(self) -> dict[str, Tensor]:
        """For each column the number of clips that have it."""
        return dict(zip(self.columns, self._has().sum(dim=0), strict=True))

    def _has(self) -> Tensor:
        """Which clips have which columns, of all processes: (clips, columns), bool."""
        with self._gathered():
            return self.seen > 0

    def _gathered(self) -> AbstractContextManager[None]:
        """The states of all processes, as torchmetrics gathers them for `compute` (where this does nothing)."""
        alone = not self._is_synced
        return self.sync_context(dist_sync_fn=self.dist_sync_fn, should_sync=alone, should_unsync=alone)

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> torch.nn.Module:
        """Follow the model to another device, but never to another precision."""
        return super()._apply(lambda tensor: tensor.to(fn(tensor).device), exclude_state)
