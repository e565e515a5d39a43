"""A batch and its mixing matrix: the one idea that every augmentation of this project is written in.

Let X (S, T) be the source clips of a batch and A (N, S) a matrix. A decoder is trained to produce the mixed waveforms
A X from the *equally mixed latents* A Enc(X). A linear autoencoder commutes with every A, so training on random A
teaches linearity: additivity where rows mix clips, homogeneity where rows are scaled. (Lin-CAE, arXiv 2510.23530.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from lincae.streams import Draws


@dataclass(frozen=True)
class Mixture:
    """Source clips X and the matrix A that mixes them.

    Attributes:
        sources: X, (S, T), waveforms with full scale 1; (S, C, T) if they have several channels.
        matrix: A, (N, S), float32. Equally many rows for each mix group: first its clips as they are, then its mixes.
        implicit: whether latents are mixed (A Enc(X)). False once `materialized`: then the mixes are the sources.
    """

    sources: Tensor
    matrix: Tensor
    implicit: bool = True

    @property
    def targets(self) -> Tensor:
        """A X, (N, T): what the decoder must produce."""
        return mix(self.matrix, self.sources)

    def condition(self, latents: Tensor) -> Tensor:
        """A Z, (N, D, L), for latents Z = Enc(X) (S, D, L): what the decoder is given."""
        return mix(self.matrix, latents)

    def rewritten(self, matrix: Tensor) -> Mixture:
        """The same sources under another matrix (N', S).

        Raises:
            RuntimeError: if the mixture is materialized, since what was an ordinary baseline would silently become
                implicit training.
        """
        if not self.implicit:
            raise RuntimeError("the matrix was changed after Materialize: list augmentations before it")
        return replace(self, matrix=matrix)

    def with_sources(self, mixes: Tensor, matrix: Tensor) -> Mixture:
        """Mixes of the sources as further sources, which go through the encoder by themselves.

        Args:
            mixes: B, (M, S); the new sources are B X.
            matrix: (N', S + M), over old and new sources.

        Raises:
            RuntimeError: as `rewritten`.
        """
        return replace(self.rewritten(matrix), sources=torch.cat([self.sources, mix(mixes, self.sources)]))

    def materialized(self) -> Mixture:
        """Ordinary input augmentation: the mixed waveforms A X become the sources, under an identity matrix."""
        targets = self.targets
        return Mixture(targets, torch.eye(len(targets), device=targets.device), implicit=False)


class Origin(NamedTuple):
    """Where a clip was cut from.

    Attributes:
        file: path or URL of the audio.
        start: first sample, counted at the rate of training.
    """

    file: str
    start: int


@dataclass
class Batch:
    """What a training step works on, and what came of it; augmentation callbacks replace `mixture`.

    Attributes:
        mixture: the clips and their mixing matrix.
        draws: the batch's random streams, one block of rows per mix group.
        origins: of the clips, in the order in which the data module gave them; empty if it does not know.
        clips: as they came, before any augmentation, (S, T) or (S, C, T); the mixture's sources if not given.
        latents: Enc(X), (S, D, L), once the step is taken.
        losses: of each row, (N,), likewise.
    """

    mixture: Mixture
    draws: Draws
    origins: Sequence[Origin] = ()
    clips: Tensor | None = None
    latents: Tensor | None = None
    losses: Tensor | None = None

    def __post_init__(self) -> None:
        if self.clips is None:
            self.clips = self.mixture.sources


def mix(matrix: Tensor, signals: Tensor) -> Tensor:
    """The product A S over the first axis of S, exact whatever the precision of the step around it.

    Under bf16 autocast (or TF32) even an identity row would come back at 56 dB. So the product is taken in float64,
    which neither of them touches: it is small beside any network.

    Args:
        matrix: A, (N, S).
        signals: (S, ...).

    Returns:
        (N, ...), float32.
    """
    return torch.einsum("ns,s...->n...", matrix.double(), signals.double()).float()


@dataclass(frozen=True)
class CircularShift:
    """The paper's mixes: each group's clips, then each clip mixed with its neighbour in the group.

    Row i of the mixes is w_i on clip i and 1 - w_i on clip i - 1 (cyclic within the group), w_i ~ U(low, high).

    Args:
        low, high: range of the weight w_i of the clip itself. low = high = 0.5 gives plain averages.
        convex: give the neighbour 1 - w_i. False gives it w_i as well: low = high = 1 is then the plain sum u + v.
    """

    low: float = 0.5
    high: float = 1.0
    convex: bool = True

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"mix weights from [{self.low}, {self.high}]: low must not exceed high")

    def __call__(self, sources: int, draws: Draws) -> Tensor:
        """The matrix (2 S, S), block-diagonal over the groups of `draws`."""
        weights = self.low + (self.high - self.low) * draws.uniform("mix", sources)
        return circular_shift(weights, sources // len(draws.groups), self.convex)


@dataclass(frozen=True)
class PlainClips:
    """No mixes: the identity, (S, S)."""

    def __call__(self, sources: int, draws: Draws) -> Tensor:
        return torch.eye(sources, device=draws.device)


def circular_shift(weights: Tensor, group_size: int, convex: bool = True) -> Tensor:
    """Identity rows stacked on circular-shift mixes, for each group of clips.

    Args:
        weights: w_i, (S,), the weight of each clip in its own mix.
        group_size: clips per group; S is a multiple of it.
        convex: weight 1 - w_i for the neighbour; else w_i.

    Returns:
        A, (2 S, S): per group of G clips, G identity rows and then G mixes.
    """
    sources = len(weights)
    identity = torch.eye(sources, device=weights.device)
    position = torch.arange(sources, device=weights.device)
    start = position - position % group_size
    neighbour = start + (position - start - 1) % group_size
    other = 1 - weights if convex else weights
    mixes = weights[:, None] * identity + other[:, None] * identity[neighbour]
    blocks = torch.stack([identity.view(-1, group_size, sources), mixes.view(-1, group_size, sources)], dim=1)
    return blocks.reshape(2 * sources, sources)


def random_gains(uniform: Tensor, chance: Tensor, low: float, high: float, probability: float, snap: float) -> Tensor:
    """One gain a per row: U(low, high) with the given probability, else 1; gains near zero become silence.

    Args:
        uniform, chance: two draws from U[0, 1), (N,).
        low, high: range of the gain.
        probability: share of rows that get a gain.
        snap: |a| below this becomes exactly 0, so that the decoder learns silence.

    Returns:
        a, (N,).
    """
    gains = low + (high - low) * uniform
    gains = torch.where(gains.abs() < snap, 0.0, gains)
    return torch.where(chance < probability, gains, 1.0)


def peak_gains(targets: Tensor, ceiling: float = 1.0) -> Tensor:
    """The gain (N,), at most 1, that keeps each row of A X (N, ..., T) within +-ceiling; 1 for silent rows."""
    peaks = targets.abs().flatten(1).amax(dim=1)
    return torch.where(peaks > ceiling, ceiling / peaks, 1.0)


def k_source_mixes(choice: Tensor, cuts: Tensor, numbers: Tensor | None = None) -> Tensor:
    """One convex mix of k random clips of its group for each clip.

    The clips are any k of the group with equal probability; their weights are uniform on the simplex (a flat Dirichlet
    distribution), as the lengths are into which k - 1 uniform points cut [0, 1]. With k = 2 the larger weight is
    U(0.5, 1), the paper's.

    Args:
        choice: draws from U[0, 1), (S, G), G clips per group. The k largest of a row choose the clips.
        cuts: independent draws from U[0, 1), (S, k - 1).
        numbers: of clips in each mix, (S,), from 1 to k; k in all of them if not given.

    Returns:
        (S, S), block-diagonal.

    Raises:
        ValueError: if a group has fewer than k clips.
    """
    group_size, k = choice.shape[1], cuts.shape[1] + 1
    if k > group_size:
        raise ValueError(f"mixes of {k} sources need mix groups of {k} clips or more, got {group_size}")
    if numbers is not None:
        cuts = torch.where(torch.arange(1, k, device=cuts.device) < numbers[:, None], cuts, 1.0)
    zero, one = torch.zeros_like(choice[:, :1]), torch.ones_like(choice[:, :1])
    weights = torch.cat([zero, cuts.sort(dim=1).values, one], dim=1).diff(dim=1)
    local = torch.zeros_like(choice).scatter(1, choice.topk(k, dim=1).indices, weights)
    return torch.block_diag(*local.view(-1, group_size, group_size))


def matched_levels(matrix: Tensor, levels: Tensor) -> Tensor:
    """The matrix A (N, S) with the clips of each row at the level of the one with the largest weight.

    Args:
        matrix: A, (N, S).
        levels: root mean square of each clip, (S,), above 0.
    """
    leader = matrix.abs().argmax(dim=1)
    return matrix * levels[leader][:, None] / levels
