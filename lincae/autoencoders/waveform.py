"""A convolutional autoencoder of the waveform, small enough to learn in minutes on a CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from lincae.autoencoders.bottleneck import VariationalBottleneck
from lincae.autoencoders.reconstruction import ReconstructionAutoencoder


class WaveformAutoencoder(ReconstructionAutoencoder):
    """Strided convolutions down and up again, with a residual block at each level, as neural codecs have them.

    Args:
        widths: feature channels at the level of the waveform and after each stride.
        strides: even numbers.
        latents: channels D.
        losses, sample_rate, audio_channels, bottleneck: as in `ReconstructionAutoencoder`.

    Raises:
        ValueError: if there is not one width more than strides, or a stride is odd.
    """

    def __init__(
        self,
        widths: Sequence[int] = (16, 32, 64, 128),
        strides: Sequence[int] = (4, 4, 8),
        latents: int = 16,
        losses: Sequence[nn.Module] | None = None,
        sample_rate: int = 16_000,
        audio_channels: int = 1,
        bottleneck: VariationalBottleneck | None = None,
    ) -> None:
        if len(widths) != len(strides) + 1:
            raise ValueError(f"{len(strides)} strides need {len(strides) + 1} widths, got {len(widths)}")
        if odd := [stride for stride in strides if stride % 2]:
            raise ValueError(f"strides {odd} are odd: decodes would not be as long as the audio")
        levels = list(zip(widths, widths[1:], strides, strict=False))
        down: list[nn.Module] = [nn.Conv1d(audio_channels, widths[0], 7, padding=3)]
        for narrow, wide, stride in levels:
            down += [Residual(narrow), nn.SiLU(), nn.Conv1d(narrow, wide, 2 * stride, stride, stride // 2)]
        up: list[nn.Module] = [nn.Conv1d(latents, widths[-1], 3, padding=1)]
        for narrow, wide, stride in reversed(levels):
            up += [nn.SiLU(), nn.ConvTranspose1d(wide, narrow, 2 * stride, stride, stride // 2), Residual(narrow)]
        encoder = nn.Sequential(*down, Residual(widths[-1]), nn.SiLU(), nn.Conv1d(widths[-1], latents, 3, padding=1))
        decoder = nn.Sequential(*up, nn.SiLU(), nn.Conv1d(widths[0], audio_channels, 7, padding=3, bias=False))
        super().__init__(encoder, decoder, losses, sample_rate, math.prod(strides), audio_channels, bottleneck)
        self.widths, self.strides, self.latents = list(widths), list(strides), latents


class Residual(nn.Module):
    """x + two convolutions of it, (N, C, T) -> (N, C, T); the first looks at every third sample."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv1d(channels, channels, 7, padding=9, dilation=3),
            nn.SiLU(),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
