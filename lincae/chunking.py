"""Long signals in chunks: where they lie, and how they fade into one another.

The grid is the same for every signal of a length, and cross-fades are linear and sum to one. So joining chunks is a
linear map, and arithmetic on what was joined, or on the chunks, stays valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Chunk:
    """A part of one signal.

    Attributes:
        start: its first position.
        stop: the position after its last.
        fade_in: (begin, end) of the cross-fade with the chunk before; what lies before `begin` is not used.
        fade_out: of that with the chunk after; what lies from `end` on is not used.
    """

    start: int
    stop: int
    fade_in: tuple[int, int] | None = None
    fade_out: tuple[int, int] | None = None

    def weights(self, device: torch.device | None = None) -> Tensor:
        """The share of each position that comes from this chunk, (stop - start,), from 0 to 1."""
        weights = torch.ones(self.stop - self.start, device=device)
        if self.fade_in is not None:
            begin, end = (place - self.start for place in self.fade_in)
            weights[:begin] = 0
            weights[begin:end] = torch.linspace(0, 1, end - begin, device=device)
        if self.fade_out is not None:
            begin, end = (place - self.start for place in self.fade_out)
            weights[begin:end] *= 1 - torch.linspace(0, 1, end - begin, device=device)
            weights[end:] = 0
        return weights

    def decoded(self, period: int, margin: int) -> Chunk:
        """The samples that a chunk of latents decodes to.

        Its first and last `margin` samples fade by themselves, so that cross-fades are shorter by as much.

        Args:
            period: samples from one latent to the next.
            margin: samples that a decode is longer than its latents' periods.
        """
        fade_in, fade_out = (
            fade and (fade[0] * period + margin, fade[1] * period) for fade in (self.fade_in, self.fade_out)
        )
        return Chunk(self.start * period, self.stop * period + margin, fade_in, fade_out)


def fixed_grid(length: int, size: int, overlap: int) -> list[Chunk]:
    """Chunks of one size, as many as cover a length: the last reaches up to `size - overlap - 1` beyond its end.

    Raises:
        ValueError: if chunks overlap by more than half, so that more than two would meet.
    """
    check_overlap(size, overlap)
    step = size - overlap
    count = 1 + max(0, -(-(length - size) // step))
    return faded([(index * step, index * step + size) for index in range(count)], overlap)


def fitted_grid(length: int, size: int, overlap: int) -> list[Chunk]:
    """Chunks of one size within a length: the last is moved back to end with it. One chunk where the length is no more.

    What the last shares with the one before beyond the overlap is context to it: the one before is heard.

    Raises:
        ValueError: if chunks overlap by more than half, so that more than two would meet.
    """
    check_overlap(size, overlap)
    if length <= size:
        return [Chunk(0, length)]
    step = size - overlap
    starts = [*range(0, length - size, step), length - size]
    return faded([(start, start + size) for start in starts], overlap)


def faded(spans: list[tuple[int, int]], overlap: int) -> list[Chunk]:
    """Chunks that fade over the last `overlap` positions of each but the last; where there are gaps, none fades."""
    fades = [(stop - overlap, stop) if overlap >= 0 else None for _, stop in spans[:-1]]
    return [
        Chunk(start, stop, fade_in, fade_out)
        for (start, stop), fade_in, fade_out in zip(spans, [None, *fades], [*fades, None], strict=True)
    ]


def check_overlap(size: int, overlap: int) -> None:
    if not 0 <= 2 * overlap <= size:
        raise ValueError(
            f"chunks of {size} that overlap by {overlap}: at most half may overlap, or three would meet. Use an "
            "overlap_percentage from 0 to 0.5"
        )


def join(parts: Iterable[tuple[int, Chunk, Tensor]], rows: int, length: int, device: torch.device) -> Tensor:
    """Signals from their chunks.

    Each part is added where it belongs as it comes, so that no more than one has to be kept.

    Args:
        parts: row, chunk, and what is in it, (..., stop - start).
        rows: number of signals N.
        length: of each.
        device: of the result.

    Returns:
        (N, ..., length).
    """
    joined = None
    for row, chunk, part in parts:
        if joined is None:
            joined = torch.zeros(rows, *part.shape[:-1], length, device=device)
        stop = min(chunk.stop, length)
        weighted = part.to(device) * chunk.weights(device)
        joined[row, ..., chunk.start : stop] += weighted[..., : stop - chunk.start]
    assert joined is not None
    return joined


class Part(NamedTuple):
    """The row of a signal in its batch, and the number of a chunk in the signal."""

    row: int
    number: int


def batches(rows: int, lengths: Sequence[int], most: int) -> list[list[Part]]:
    """All parts, row by row, in groups of equal length.

    Args:
        rows: number of signals.
        lengths: of the chunks of each of them.
        most: parts in a group.
    """
    parts = [Part(row, number) for row in range(rows) for number in range(len(lengths))]
    groups = [list(group) for _, group in groupby(parts, lambda part: lengths[part.number])]
    return [group[first : first + most] for group in groups for first in range(0, len(group), most)]


def cut(signal: Tensor, start: int, stop: int) -> Tensor:
    """Positions of a signal (..., T), zero before its start and after its end."""
    length = signal.shape[-1]
    inside = signal[..., max(start, 0) : max(min(stop, length), 0)]
    before = min(max(-start, 0), stop - start)
    after = stop - start - before - inside.shape[-1]
    return functional.pad(inside, (before, after)) if before or after else inside
