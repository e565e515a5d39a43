"""How long a signal's latents are, and in which chunks it is encoded and decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lincae.chunking import Chunk, faded, fitted_grid, fixed_grid
from lincae.framing import Framing

Span = tuple[int, int]
"""First sample and the one after the last."""


@dataclass(frozen=True)
class ChunkPlan:
    """Lengths and places for one choice of edges and chunks. It depends on nothing but lengths.

    Args:
        framing: of the autoencoder.
        max_chunk_size: samples of a chunk; None for signals in one piece.
        overlap_percentage: share of a chunk over which it fades into the next, from 0 to 0.5.
        seamless: whether chunks are joined to one sequence of latents, or kept apart.
        padded_edges: whether `framing.margin` more samples are encoded before and after.

    Raises:
        ValueError: if a chunk is less than a window, or seamless ones overlap by less than a margin.
    """

    framing: Framing
    max_chunk_size: int | None = None
    overlap_percentage: float = 0.25
    seamless: bool = False
    padded_edges: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_percentage <= 0.5:
            raise ValueError(f"overlap_percentage must be from 0 to 0.5, got {self.overlap_percentage}")
        size, framing = self.max_chunk_size, self.framing
        if size is None:
            return
        if size < framing.window:
            raise ValueError(f"max_chunk_size must be a window, {framing.window} samples, or more; got {size}")
        latents = self.latents(size)
        if self.seamless and self.overlap(latents) * framing.period < framing.margin:
            raise ValueError(
                f"max_chunk_size={size} is {latents} latents and overlap_percentage={self.overlap_percentage} of it "
                f"{self.overlap(latents)}: seamless joins need {math.ceil(framing.margin / framing.period)} or more"
            )

    @property
    def lead(self) -> int:
        """Samples that are encoded before a signal or chunk."""
        return self.framing.margin if self.padded_edges else 0

    def extent(self, samples: int) -> int:
        """Samples that are encoded for so many: with what is before and after, without what no whole frame reaches."""
        framing = self.framing
        if self.padded_edges:
            return framing.samples(math.ceil((samples + framing.margin) / framing.period))
        return framing.seen(max(samples, framing.window))

    def latents(self, samples: int) -> int:
        """Latents of so many samples in one sequence."""
        return self.framing.latents(self.extent(samples))

    def decoded(self, latents: int) -> int:
        """Samples that a sequence of so many latents decodes to."""
        return max(0, self.framing.samples(latents) - 2 * self.lead)

    def longest(self, latents: int) -> int:
        """Most samples that are encoded to a sequence of so many latents."""
        return self.decoded(latents) + (0 if self.padded_edges else self.framing.hop - 1)

    def overlap(self, size: int) -> int:
        """How much of a chunk, in samples or latents, also belongs to the next."""
        return int(size * self.overlap_percentage)

    def is_apart(self, samples: int) -> bool:
        """Whether so many samples are encoded to several chunks that are kept apart."""
        return self.max_chunk_size is not None and samples > self.max_chunk_size and not self.seamless

    def sequence(self, latents: int) -> list[Chunk]:
        """Chunks of a sequence of so many latents."""
        if self.max_chunk_size is None or not self.seamless:
            return [Chunk(0, latents)]
        size = self.latents(self.max_chunk_size)
        return fitted_grid(latents, size, self.overlap(size))

    def heard(self, chunk: Chunk) -> Chunk:
        """The samples that a chunk of a sequence decodes to, from where the sequence begins to decode."""
        return chunk.decoded(self.framing.period, self.framing.margin)

    def sources(self, samples: int) -> list[Span]:
        """The samples from which each chunk of a signal is encoded; they may lie outside it."""
        size = self.max_chunk_size
        if size is not None and self.is_apart(samples):
            grid = fixed_grid(samples, size, self.overlap(size))
            length = self.extent(size)
            return [(chunk.start - self.lead, chunk.start - self.lead + length) for chunk in grid]
        extent = self.extent(samples)
        heard = [self.heard(chunk) for chunk in self.sequence(self.framing.latents(extent))]
        return [(chunk.start - self.lead, min(chunk.stop, extent) - self.lead) for chunk in heard]

    def apart(self, count: int, latents: int) -> list[Chunk]:
        """The samples that each of several chunks decodes to, laid where they were cut.

        Raises:
            ValueError: if chunks of `max_chunk_size` have another number of latents.
        """
        size = self.max_chunk_size
        if size is None or latents != self.latents(size):
            raise ValueError(
                f"the chunks have {latents} latents each, which those of max_chunk_size={size} do not: set "
                "max_chunk_size and padded_edges to what they were encoded with"
            )
        step = size - self.overlap(size)
        length = min(size, self.decoded(latents))
        return faded([(place * step, place * step + length) for place in range(count)], length - step)

    def covered(self, count: int) -> int:
        """Samples that so many chunks of `max_chunk_size` cover."""
        assert self.max_chunk_size is not None  # or there would be no chunks
        return count * self.max_chunk_size - (count - 1) * self.overlap(self.max_chunk_size)
