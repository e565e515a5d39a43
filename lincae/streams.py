"""Named random streams: every draw is a pure function of (seed, purpose, index).

A training step draws mix weights, gains, noise levels and noise. Each purpose has a stream of its own, keyed by the
global index of the *mix group* it is drawn for (a fixed number of consecutive clips; see `lincae.mixing`). So the draws
do not depend on the number of processes or loader workers, on what was drawn before, or on where a run was resumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def stream_seed(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed for one stream, from a cryptographic hash of its name.

    Args:
        seed: the seed of the run.
        purpose: what is drawn, such as `"gain"` or `"noise"`.
        index: global index of the clip or mix group.

    Returns:
        An integer in [0, 2^63), the same on every machine.
    """
    name = f"{seed}/{purpose}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch, a block of rows for each group.

    Drawing the same purpose twice gives the same numbers, so a purpose is drawn once for a batch.

    Args:
        seed: the seed of the run.
        groups: global index of each group in the batch, in the order of its rows.
        device: where numbers are made. The CPU's and a GPU's generators differ: numbers repeat on one kind of device.
    """

    seed: int
    groups: Sequence[int]
    device: torch.device | str = "cpu"

    def uniform(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Numbers from U[0, 1), (rows, *shape), float32."""
        return self._blocks(torch.rand, purpose, rows, shape)

    def normal(self, purpose: str, rows: int, *shape: int) -> Tensor:
        """Numbers from N(0, 1), (rows, *shape), float32."""
        return self._blocks(torch.randn, purpose, rows, shape)

    def _blocks(self, draw, purpose: str, rows: int, shape: tuple[int, ...]) -> Tensor:
        if rows % len(self.groups):
            raise ValueError(f"{rows} rows of {purpose!r} do not divide into the batch's {len(self.groups)} groups")
        size = (rows // len(self.groups), *shape)
        generator = torch.Generator(self.device)
        blocks = []
        for group in self.groups:
            generator.manual_seed(stream_seed(self.seed, purpose, group))
            blocks.append(draw(size, generator=generator, device=self.device))
        return torch.cat(blocks)
