"""The same autoencoder with its origin moved: is it linear, or linear apart from a constant?

A map x -> W x + c is affine, and every figure of linearity counts its c as an error. Figures of these wrappers, beside
those of the autoencoder itself, tell a constant from a curvature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder, channels_of
from lincae.streams import Draws


class Moved:
    """Base of the wrappers: all but `encode` and `decode` are the autoencoder's.

    Args:
        autoencoder: whose origin is moved.
    """

    def __init__(self, autoencoder: LatentAutoencoder) -> None:
        self.autoencoder = autoencoder
        self.sample_rate, self.margin = autoencoder.sample_rate, autoencoder.margin
        self.audio_channels = channels_of(autoencoder)

    def encode(self, audio: Tensor) -> Tensor:
        return self.autoencoder.encode(audio)

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor | None:
        return self.autoencoder.sample_noise(latents, draws, steps)

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        return self.autoencoder.decode(latents, noise, steps)


class LatentCentered(Moved):
    """Latents relative to that of silence, z0 = Enc(0): Enc - z0, and a decoder that adds z0 again.

    Then a (z - z0) decodes as a z + (1 - a) z0 does, and a sum of K latents as sum z - (K - 1) z0.
    """

    def __init__(self, autoencoder: LatentAutoencoder) -> None:
        super().__init__(autoencoder)
        self._of_samples: dict[int, Tensor] = {}  # Enc(0), (1, D, L), by the number of samples
        self._of_frames: dict[int, Tensor] = {}  # the same by the number of latent frames

    def encode(self, audio: Tensor) -> Tensor:
        samples = audio.shape[-1]
        if samples not in self._of_samples:
            origin = self.autoencoder.encode(torch.zeros_like(audio[:1]))
            self._of_samples[samples] = self._of_frames[origin.shape[-1]] = origin
        return self.autoencoder.encode(audio) - self._of_samples[samples]

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        return self.autoencoder.decode(latents + self._of_frames[latents.shape[-1]], noise, steps)


class DecoderCentered(Moved):
    """Decodes relative to that of the zero latent under the same noise, d0 = Dec(0; n): Dec - d0.

    The last d0 is kept: comparisons decode many latents under one noise.
    """

    def __init__(self, autoencoder: LatentAutoencoder) -> None:
        super().__init__(autoencoder)
        self._zero: tuple[Tensor | None, tuple, Tensor] | None = None  # noise, shape and steps, d0

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        under = (*latents.shape, steps)
        if self._zero is None or self._zero[0] is not noise or self._zero[1] != under:
            zero = self.autoencoder.decode(torch.zeros_like(latents), noise, steps)
            self._zero = (noise, under, zero)
        return self.autoencoder.decode(latents, noise, steps) - self._zero[2]
