"""Intervals of means over clips: the percentile bootstrap.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEVEL = 0.95

ENTRIES = 2**22
"""Largest number of weights held at a time, 8 bytes each."""


def bootstrap(
    values: Tensor, groups: Tensor | None = None, draws: int = 10_000, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """95 % intervals of the mean of each column, from resampling clips, or whole groups of them.

    Args:
        values, groups, draws, seed: see `resampled_means`.

    Returns:
        The lower and the upper bounds, (columns,) float64 on the CPU each; NaN for a column that fewer than two groups
        have. Resamples in which a column has no value are left out.

    Raises:
        ValueError: if there is no clip, or the groups are not one for each clip.
    """
    return interval(resampled_means(values, groups, draws, seed))


def resampled_means(values: Tensor, groups: Tensor | None = None, draws: int = 10_000, seed: int = 0) -> Tensor:
    """Means of each column in resamples of the clips, or of whole groups of them.

    Clips of one track resemble each other: to resample clips alone would make intervals too narrow.

    The resamples depend only on the number of clips (or on the groups), `draws` and `seed`. So columns, and models
    evaluated on the same clips, are paired, and a function of several means can be resampled with them.

    Args:
        values: figures, (clips, columns), NaN where one is absent, as from `ClipTable.per_clip`. There a diverged
            figure is NaN as well: the mean that `ClipTable.compute` gives shows it, an interval does not.
        groups: the group of each clip, such as its track, (clips,), integers; by default each clip is its own.
        draws: number of resamples.
        seed: of the resamples.

    Returns:
        (draws, columns), float64 on the CPU; NaN where a resample has no value of a column, and in all of a column that
        fewer than two groups have.

    Raises:
        ValueError: if there is no clip, or the groups are not one for each clip.
    """
    values = values.double().cpu()
    owner, count = group_labels(groups, len(values))
    has = ~values.isnan()
    sums, sizes = (
        torch.zeros(count, values.shape[1], dtype=torch.float64).index_add_(0, owner, table)
        for table in (torch.where(has, values, 0.0), has.double())
    )
    generator = torch.Generator().manual_seed(seed)
    means, step = [], max(1, ENTRIES // count)
    for start in range(0, draws, step):
        drawn = torch.randint(count, (min(step, draws - start), count), generator=generator)
        weights = torch.zeros(drawn.shape, dtype=torch.float64)
        weights.scatter_add_(1, drawn, torch.ones(1, 1, dtype=torch.float64).expand_as(drawn))
        means.append((weights @ sums) / (weights @ sizes))
    return torch.cat(means).where((sizes > 0).sum(dim=0) > 1, torch.nan)


def interval(resampled: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper bound of 95 % of resampled figures, (draws, ...) -> (...) each; NaN is left out."""
    tails = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = resampled.nanquantile(tails, dim=0)
    return low, high


def paired_difference(
    values: Tensor,
    others: Tensor,
    groups: Tensor | None = None,
    averages: Sequence[Sequence[int]] | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Means of `values - others`, two models' figures on the same clips, and their 95 % intervals.

    What makes a clip hard or easy for both cancels, so these are narrower than two separate intervals suggest. Only
    clips for which both have a figure count.

    Args:
        values, others: figures of the two models, (clips, columns), NaN where one is absent.
        groups, draws, seed: see `resampled_means`.
        averages: for each figure the columns whose means it averages; by default each column is one.

    Returns:
        The means, the lower and the upper bounds, (figures,) float64 each: above 0, `values` are larger.

    Raises:
        ValueError: if the tables differ in size; see also `bootstrap`.
    """
    if values.shape != others.shape:
        raise ValueError(f"tables of {tuple(values.shape)} and {tuple(others.shape)} (clips, columns) cannot be paired")
    paired = values.double().cpu() - others.double().cpu()
    columns = [[column] for column in range(paired.shape[1])] if averages is None else averages
    resampled, means = resampled_means(paired, groups, draws, seed), paired.nanmean(dim=0)
    figures = torch.stack([resampled[:, of].mean(dim=1) for of in columns], dim=1)
    return torch.stack([means[of].mean() for of in columns]), *interval(figures)


def group_labels(groups: Tensor | None, clips: int) -> tuple[Tensor, int]:
    """The group of each clip, numbered from 0, (clips,) int64 on the CPU, and the number of groups.

    Args:
        groups: any integers, (clips,); None makes each clip its own group.
        clips: number of clips.

    Raises:
        ValueError: if there is no clip, or the groups are not one for each clip.
    """
    if clips == 0:
        raise ValueError("no clips: an interval needs some")
    if groups is None:
        return torch.arange(clips), clips
    if groups.shape != (clips,):
        raise ValueError(f"groups {tuple(groups.shape)} must name one group for each of {clips} clips")
    names, labels = groups.cpu().unique(return_inverse=True)
    return labels, len(names)
