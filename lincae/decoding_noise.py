"""The noise from which a model decodes: given, from a generator in the published order, or by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from lincae.chunking import Chunk, Part
from lincae.streams import Draws, stream_seed

NoiseOf = Callable[[Sequence[Part], Tensor], Tensor | None]
"""Noise (N, steps, ..., frames) for N parts of sequences and their latents (N, D, L); None where none is needed."""


@dataclass(frozen=True)
class SequentialDraws:
    """Stands in for `Draws` where numbers come from a generator one after another, whatever their purpose.

    Args:
        generator: on any device; None is the global one of `device`, which `torch.manual_seed` sets.
        device: where numbers of the global generator are made.
    """

    generator: torch.Generator | None
    device: torch.device

    @property
    def place(self) -> torch.device:
        """Where numbers are made."""
        return self.device if self.generator is None else self.generator.device

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """The next numbers from N(0, 1), (rows, *shape), float32."""
        return torch.randn(rows, *shape, generator=self.generator, device=self.place)

    def seed(self) -> int:
        """The next number as a seed."""
        return int(torch.randint(2**62, (), generator=self.generator, device=self.place))


def given(noise: Tensor, latents: int, chunks: Sequence[Chunk]) -> NoiseOf:
    """Noise of whole sequences, (N, steps, ..., frames), cut as their latents are.

    Raises:
        ValueError: if its frames are not equally many for each of so many latents.
    """
    if noise.shape[-1] % latents:
        raise ValueError(f"noise of {noise.shape[-1]} frames does not divide among {latents} latents")
    stride = noise.shape[-1] // latents

    def of(parts: Sequence[Part], z: Tensor) -> Tensor:
        places = [(row, chunks[number]) for row, number in parts]
        return torch.stack([noise[row, ..., c.start * stride : c.stop * stride] for row, c in places]).to(z.device)

    return of


def in_order(autoencoder: Any, steps: int, draws: SequentialDraws) -> NoiseOf:
    """Noise as the published package draws it: for each batch one tensor per step, and one more that is not used.

    That one matters where another batch follows.
    """

    def of(parts: Sequence[Part], z: Tensor) -> Tensor | None:
        drawn = [autoencoder.sample_noise(z, draws) for _ in range(steps + 1)]
        return None if drawn[0] is None else torch.cat(drawn[:steps], dim=1)

    return of


def by_position(autoencoder: Any, steps: int, draws: SequentialDraws, chunks: Sequence[Chunk]) -> NoiseOf:
    """Noise that depends on a seed, the row and the latent's place alone: chunks have the same where they overlap.

    So no chunk needs what was drawn for another, and a sequence of any length takes the memory of one.
    """
    seed = draws.seed()

    def of_one(part: Part, z: Tensor) -> Tensor | None:
        start = chunks[part.number].start
        places = Draws(stream_seed(seed, "row", part.row), range(start, start + z.shape[-1]), draws.place)
        noise = autoencoder.sample_noise(rearrange(z, "1 d l -> l d 1"), places, steps)
        return None if noise is None else rearrange(noise, "l k ... t -> 1 k ... (l t)")

    def of(parts: Sequence[Part], z: Tensor) -> Tensor | None:
        noises = [of_one(part, latents) for part, latents in zip(parts, z.split(1), strict=True)]
        drawn = [noise for noise in noises if noise is not None]
        return torch.cat(drawn) if drawn else None

    return of
