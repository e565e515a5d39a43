"""UNet: the denoising network, conditioned on the noise level and on the pyramid's maps."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from lincae.networks.blocks import Downsample, ResBlock, Upsample, group_norm, mlp, sinusoids, zero_init
from lincae.networks.sizes import NetworkSizes


class CrossConnections(NamedTuple):
    """The pyramid's maps as the UNet receives them: one per block in the order of its blocks, and one at the end."""

    down: list[Tensor]
    up: list[Tensor]
    out: Tensor


class CrossConnect(nn.Module):
    """The pyramid's maps through a 1x1 convolution for each block of the UNet.

    They do not depend on the noise, so one call serves the student and the teacher of a training step, and every step
    of a sampler.
    """

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        widths = sizes.widths
        self.level_of_block = levels_of_blocks(sizes)
        self.down = nn.ModuleList(nn.Conv2d(widths[i], widths[i], 1) for i in self.level_of_block)
        self.up = nn.ModuleList(nn.Conv2d(widths[i], widths[i], 1) for i in self.level_of_block)
        self.out = nn.Conv2d(widths[0], widths[0], 1)

    def forward(self, pyramid: list[Tensor]) -> CrossConnections:
        """Maps (N, C_i, F_i, L_i), finest first -> what `UNet.forward` takes."""
        maps = [pyramid[level] for level in self.level_of_block]
        return CrossConnections(
            down=[conv(m) for conv, m in zip(self.down, maps, strict=True)],
            up=[conv(m) for conv, m in zip(self.up, maps, strict=True)],
            out=self.out(pyramid[0]),
        )


def levels_of_blocks(sizes: NetworkSizes) -> list[int]:
    """The level of each block on the UNet's way down, finest first; the way up mirrors it."""
    return [level for level in range(sizes.levels) for _ in range(sizes.unet_blocks)]


class UNet(nn.Module):
    """Predicts from a noisy, scaled spectrogram; starts out predicting zero.

    Args:
        sizes: shared sizes.
        channels, bins: of the spectrogram.
    """

    def __init__(self, sizes: NetworkSizes, channels: int, bins: int) -> None:
        super().__init__()
        widths = sizes.widths
        self.features = sizes.embedding
        self.level_of_block = levels_of_blocks(sizes)

        def blocks() -> nn.ModuleList:
            heads = [sizes.heads if attention else None for attention in sizes.attention]
            return nn.ModuleList(
                ResBlock(widths[i], widths[i], embedding=sizes.embedding, heads=heads[i]) for i in self.level_of_block
            )

        self.embedding = mlp(sizes.embedding)
        self.scale_in = mlp(sizes.embedding, bins)
        self.scale_out = mlp(sizes.embedding, bins)
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = blocks(), blocks()
        self.connect = CrossConnect(sizes)
        steps = list(zip(widths[:-1], widths[1:], sizes.strides, strict=True))
        self.downsamples = nn.ModuleList(Downsample(fine, coarse, stride) for fine, coarse, stride in steps)
        self.upsamples = nn.ModuleList(Upsample(coarse, fine, stride) for fine, coarse, stride in steps)
        self.norm_out = group_norm(widths[0])
        self.conv_out = zero_init(nn.Conv2d(widths[0], channels, 3, padding=1))

    def forward(self, x: Tensor, log_sigma: Tensor, connections: CrossConnections) -> Tensor:
        """One prediction.

        Args:
            x: scaled noisy spectrogram, (N, C, F, L).
            log_sigma: ln of the noise level, (N,).
            connections: from `connect`.

        Returns:
            (N, C, F, L).
        """
        waves = sinusoids(log_sigma / 4, self.features)
        embedding = self.embedding(waves)
        h = self.conv_in(x) * (1 + self.scale_in(waves))[:, None, :, None]

        skips = []
        level = 0
        for i, block in enumerate(self.down):
            if self.level_of_block[i] > level:
                h = self.downsamples[level](h)
                level += 1
            h = block((h + connections.down[i]) / math.sqrt(2), embedding)
            skips.append(h)

        for i in reversed(range(len(self.up))):
            if self.level_of_block[i] < level:
                level -= 1
                h = self.upsamples[level](h)
            h = self.up[i]((h + skips.pop() + connections.up[i]) / math.sqrt(3), embedding)

        h = functional.silu(self.norm_out((h + connections.out) / math.sqrt(2)))
        return self.conv_out(h * (1 + self.scale_out(waves))[:, None, :, None])
