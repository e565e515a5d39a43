"""The sizes that encoder, pyramid and UNet share, so that one number changes in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkSizes:
    """Sizes of the three networks; the defaults are Music2Latent's (57,658,690 parameters in all).

    Args:
        widths: channels of each level, finest first.
        strides: (frequency, time) factor between one level and the next coarser one.
        attention: whether a level's blocks end in frequency attention.
        heads: attention heads.
        latents: latent channels D.
        bottleneck: channels of the 1-D stage between latents and maps.
        bottleneck_blocks: residual blocks in that stage, on either side.
        unet_blocks: residual blocks per level and direction in the UNet; encoder and pyramid have one per level.
        embedding: features of the noise-level embedding; even, 4 or more.

    Raises:
        ValueError: if the lists disagree on the number of levels, or the embedding has no such size.
    """

    widths: tuple[int, ...] = (64, 128, 256, 256, 256)
    strides: tuple[tuple[int, int], ...] = ((4, 1), (2, 2), (2, 2), (2, 2))
    attention: tuple[bool, ...] = (False, False, True, True, True)
    heads: int = 4
    latents: int = 64
    bottleneck: int = 512
    bottleneck_blocks: int = 4
    unet_blocks: int = 2
    embedding: int = 256

    def __post_init__(self) -> None:
        levels = len(self.widths)
        if len(self.attention) != levels or len(self.strides) != levels - 1:
            raise ValueError(
                f"{levels} widths need {levels} attention flags and {levels - 1} strides, "
                f"got {len(self.attention)} and {len(self.strides)}"
            )
        if self.embedding % 2 or self.embedding < 4:
            raise ValueError(f"embedding must be even and 4 or more, got {self.embedding}")

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return len(self.widths)

    @property
    def time_stride(self) -> int:
        """STFT frames per latent vector."""
        return math.prod(time for _, time in self.strides)

    def coarsest_bins(self, bins: int) -> int:
        """Bins of the coarsest level for so many bins of the input.

        Raises:
            ValueError: if the frequency strides do not divide the bins.
        """
        stride = math.prod(frequency for frequency, _ in self.strides)
        if bins % stride:
            raise ValueError(f"{bins} bins are not a multiple of the frequency strides' product {stride}")
        return bins // stride
