"""Encoder: spectrogram -> latents."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from lincae.networks.blocks import Downsample, ResBlock, group_norm
from lincae.networks.sizes import NetworkSizes


class Encoder(nn.Module):
    """One residual block per level between strided convolutions, then a 1-D stage down to the latents.

    Args:
        sizes: shared sizes.
        channels, bins: of the spectrogram.
    """

    def __init__(self, sizes: NetworkSizes, channels: int, bins: int) -> None:
        super().__init__()
        widths = sizes.widths
        inputs = (widths[0], *widths[:-1])
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.bin_gain = nn.Parameter(torch.ones(bins, 1))
        self.blocks = nn.ModuleList(
            ResBlock(c_in, c_out, heads=sizes.heads if attention else None)
            for c_in, c_out, attention in zip(inputs, widths, sizes.attention, strict=True)
        )
        self.downsamples = nn.ModuleList(
            Downsample(width, width, stride, normalize=True)
            for width, stride in zip(widths[:-1], sizes.strides, strict=True)
        )
        self.norm_map = group_norm(widths[-1])
        self.conv_flat = nn.Conv1d(widths[-1] * sizes.coarsest_bins(bins), sizes.bottleneck, 1)
        self.bottleneck = nn.Sequential(
            *(ResBlock(sizes.bottleneck, sizes.bottleneck, dims=1) for _ in range(sizes.bottleneck_blocks))
        )
        self.norm_out = group_norm(sizes.bottleneck)
        self.conv_out = nn.Conv1d(sizes.bottleneck, sizes.latents, 1)

    def features(self, spectrogram: Tensor) -> Tensor:
        """The coarsest map, channels and bins flattened (channel-major): (N, C, F, L) -> (N, C' F', L / stride)."""
        h = self.conv_in(spectrogram) * self.bin_gain
        for level, block in enumerate(self.blocks):
            h = block(h)
            if level < len(self.downsamples):
                h = self.downsamples[level](h)
        return rearrange(self.norm_map(h), "n c f l -> n (c f) l")

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Spectrogram (N, C, F, L) -> latents (N, D, L / stride) in (-1, 1), float32."""
        h = self.bottleneck(self.conv_flat(self.features(spectrogram)))
        h = self.conv_out(functional.silu(self.norm_out(h)))
        return torch.tanh(h.float())  # in bf16 it is exactly 1 from 3.5 on, without a gradient
