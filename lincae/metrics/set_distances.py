"""Distances between two sets of embeddings: kernel (KAD) and Fréchet (FAD) audio distance.

Sets are (clips, D), computed in float64. The first is the reference, such as the originals; the second is what is
judged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lincae.metrics.bootstrap import group_labels

KAD_SCALE = 100

ENTRIES = 2**22
"""Largest number of kernel values held at a time, 8 bytes each."""


def kernel_audio_distance(reference: Tensor, evaluated: Tensor) -> Tensor:
    """Kernel audio distance: the unbiased squared maximum mean discrepancy, times 100.

        KAD = 100 [mean_{i != j} k(r_i, r_j) + mean_{i != j} k(e_i, e_j) - 2 mean_{i, j} k(r_i, e_j)],
        k(a, b) = exp(-|a - b|^2 / 2 s^2),

    where s is the median distance between two clips of the *reference* (the lower of the middle two, if there are two).
    For independent sets of one distribution it lies around 0, so it may be negative. Originals and what a model makes
    of the same clips are not independent: a perfect model scores -200 (1 - mean_{i != j} k(r_i, r_j)) / m, so compare
    models at the same m. Kernels are computed in parts; the median needs all m (m - 1) / 2 distances at once.

    Source: Chung et al., KAD: No More FAD! (arXiv 2502.15602).

    Args:
        reference: r, (m, D).
        evaluated: e, (n, D).

    Returns:
        0-dim, float64; lower is better.

    Raises:
        ValueError: if a set has fewer than two clips or an embedding that is not finite, if the sets differ in D, or if
            half of the reference's distances are 0.
    """
    r, e = _checked(reference, evaluated)
    s = _bandwidth(r)
    sums = [torch.stack([k.sum() for _, k in _kernel_rows(a, b, s)]).sum() for a, b in ((r, r), (e, e), (r, e))]
    return _kad(sums, len(r), len(e))


def kernel_audio_distance_interval(
    reference: Tensor, evaluated: Tensor, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """95 % interval of the KAD of originals and what a model made of them, by the jackknife.

    Groups of clips are left out in turn, from both sets, at the bandwidth of the whole reference; the interval is
    KAD +- 1.96 standard errors, which errs on the wide side where the sets hardly differ. (Resampling with replacement
    would not do: it repeats clips, whose distance is 0.)

    Args:
        reference, evaluated: (clips, D), in the same order of clips.
        groups: the group of each clip, such as its track, (clips,), integers; by default each clip is its own.

    Returns:
        The lower and the upper bound, 0-dim, float64.

    Raises:
        ValueError: if the sets differ in size, the groups are not one for each clip, or fewer than two clips are left
            without a group; see also `kernel_audio_distance`.
    """
    r, e = _checked(reference, evaluated)
    if len(r) != len(e):
        raise ValueError(f"{len(r)} reference and {len(e)} evaluated clips: an interval needs the same clips in both")
    owner, count = group_labels(groups, len(r))
    owner = owner.to(r.device)
    left = len(r) - owner.bincount()
    if (left < 2).any():
        raise ValueError(f"{len(r)} clips in {count} groups: at least 2 clips must be left without any one group")
    s = _bandwidth(r)
    sums = [_sums_without_each(a, b, s, owner, count) for a, b in ((r, r), (e, e), (r, e))]
    without = _kad(sums, left, left)
    error = ((count - 1) * without.var(correction=0)).sqrt()
    distance = kernel_audio_distance(r, e)
    return distance - 1.96 * error, distance + 1.96 * error


def frechet_audio_distance(reference: Tensor, evaluated: Tensor) -> Tensor:
    """Fréchet audio distance: between the normal distributions with the sets' means and unbiased covariances.

        FAD = |mu_r - mu_e|^2 + tr(S_r + S_e - 2 (S_r^1/2 S_e S_r^1/2)^1/2).

    A shift by d scores |d|^2, a gain g on all embeddings (g - 1)^2 (tr S + |mu|^2). The smaller the sets, the more it
    overestimates: compare sets of one size. Source: Kilgour et al., Fréchet Audio Distance (arXiv 1812.08466).

    Args:
        reference: (m, D).
        evaluated: (n, D).

    Returns:
        0-dim, float64; lower is better.

    Raises:
        ValueError: if a set has fewer than two clips or an embedding that is not finite, or if the sets differ in D.

    Warns:
        UserWarning: if a set has no more clips than dimensions.
    """
    r, e = _checked(reference, evaluated)
    smallest, dimensions = min(len(r), len(e)), r.shape[1]
    if smallest <= dimensions:
        warnings.warn(
            f"FAD of {smallest} clips in {dimensions} dimensions is unreliable, their covariance being singular: use "
            f"more than {dimensions} clips",
            stacklevel=2,
        )
    S_r, S_e = ((centred.T @ centred) / (len(centred) - 1) for centred in (r - r.mean(dim=0), e - e.mean(dim=0)))
    values, vectors = torch.linalg.eigh(S_r)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ S_e @ root).clamp(min=0).sqrt().sum()
    return (r.mean(dim=0) - e.mean(dim=0)).square().sum() + S_r.trace() + S_e.trace() - 2 * cross


def _checked(reference: Tensor, evaluated: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in float64, with the reference's mean at the origin, where distances lose least to rounding."""
    if reference.shape[1:] != evaluated.shape[1:]:
        raise ValueError(f"sets of embeddings {tuple(reference.shape)} and {tuple(evaluated.shape)} must agree in D")
    for name, points in (("reference", reference), ("evaluated", evaluated)):
        if len(points) < 2:
            raise ValueError(f"{len(points)} clips in the {name} set: a distance between sets needs at least 2 in each")
        if bad := (~points.isfinite().all(dim=1)).nonzero().flatten().tolist():
            raise ValueError(f"{name} set: the embeddings of {len(bad)} clips are not finite, first in row {bad[0]}")
    centre = reference.double().mean(dim=0)
    return reference.double() - centre, evaluated.double() - centre


def _bandwidth(reference: Tensor) -> Tensor:
    median = torch.pdist(reference).median()
    if median == 0:
        raise ValueError("the median distance in the reference set is 0: KAD needs more than repeats of one embedding")
    return median


def _kernel_rows(a: Tensor, b: Tensor, s: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """k(a_i, b_j), some rows i at a time: the rows, and their values (rows, len(b))."""
    step = max(1, ENTRIES // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        yield rows, (torch.cdist(a[rows], b).square() / (-2 * s.square())).exp()


def _kad(sums: Sequence[Tensor], m: int | Tensor, n: int | Tensor) -> Tensor:
    """From the sums of k over all pairs (r, r), (e, e), (r, e); k(x, x) = 1, m and n times, is no pair."""
    rr, ee, re = sums
    return KAD_SCALE * ((rr - m) / (m * (m - 1)) + (ee - n) / (n * (n - 1)) - 2 * re / (m * n))


def _sums_without_each(a: Tensor, b: Tensor, s: Tensor, owner: Tensor, groups: int) -> Tensor:
    """Sums of k(a_i, b_j) over all pairs without clips of one group, for each group, (groups,)."""
    blocks = a.new_zeros(groups, groups)  # sums between two groups
    for rows, kernel in _kernel_rows(a, b, s):
        blocks.index_add_(0, owner[rows], a.new_zeros(len(kernel), groups).index_add_(1, owner, kernel))
    return blocks.sum() - blocks.sum(dim=0) - blocks.sum(dim=1) + blocks.diagonal()
