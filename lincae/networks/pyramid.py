"""Pyramid decoder: latents -> one feature map per resolution."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from lincae.networks.blocks import ResBlock, Upsample
from lincae.networks.sizes import NetworkSizes


class Pyramid(nn.Module):
    """Upsamples latents back to the resolution of the spectrogram and keeps every level's map on the way.

    The maps condition the UNet through cross connections. The pyramid itself does not know the noise level.

    Args:
        sizes: shared sizes.
        bins: of the spectrogram.
    """

    def __init__(self, sizes: NetworkSizes, bins: int) -> None:
        super().__init__()
        widths = sizes.widths
        self.bins = sizes.coarsest_bins(bins)
        self.conv_in = nn.Conv1d(sizes.latents, sizes.bottleneck, 1)
        self.bottleneck = nn.Sequential(
            *(ResBlock(sizes.bottleneck, sizes.bottleneck, dims=1) for _ in range(sizes.bottleneck_blocks))
        )
        self.conv_flat = nn.Conv1d(sizes.bottleneck, widths[-1] * self.bins, 1)
        self.blocks = nn.ModuleList(
            ResBlock(width, width, heads=sizes.heads if attention else None)
            for width, attention in zip(widths, sizes.attention, strict=True)
        )
        self.upsamples = nn.ModuleList(
            Upsample(coarse, fine, stride)
            for fine, coarse, stride in zip(widths[:-1], widths[1:], sizes.strides, strict=True)
        )

    def forward(self, latents: Tensor) -> list[Tensor]:
        """Latents (N, D, L') -> maps (N, C_i, F_i, L_i), finest first."""
        h = self.conv_flat(self.bottleneck(self.conv_in(latents)))
        h = rearrange(h, "n (f c) l -> n c f l", f=self.bins)
        maps = []
        for level in reversed(range(len(self.blocks))):
            h = self.blocks[level](h)
            maps.append(h)
            if level > 0:
                h = self.upsamples[level - 1](h)
        return maps[::-1]
