"""Lengths: how many latents so much audio has, and how much audio they decode to."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Framing:
    """An analysis in frames of `window` samples every `hop`, not centred, of which `time_stride` make one latent.

    Args:
        hop: samples between frames.
        window: samples of a frame; `hop` where frames do not overlap.
        time_stride: frames for each latent; the last latent may have fewer.
    """

    hop: int
    window: int
    time_stride: int = 1

    @property
    def margin(self) -> int:
        """Samples at either end where fewer frames overlap than elsewhere."""
        return self.window - self.hop

    @property
    def period(self) -> int:
        """Samples from one latent to the next."""
        return self.hop * self.time_stride

    def seen(self, samples: int) -> int:
        """How many of so many samples lie in whole frames; the rest, less than a hop, is not looked at."""
        return samples - (samples - self.window) % self.hop if samples >= self.window else 0

    def latents(self, samples: int) -> int:
        """Latents L of so many samples: frames / time stride, rounded up."""
        frames = max(0, (samples - self.window) // self.hop + 1)
        return math.ceil(frames / self.time_stride)

    def samples(self, latents: int) -> int:
        """Samples that so many latents decode to."""
        return latents * self.period + self.margin
