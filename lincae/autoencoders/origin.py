"""The same autoencoder with its origin moved: is it linear, or linear apart from a constant?

A map x -> W x + c is affine, and every figure of linearity counts its c as an error. Figures of these wrappers, beside
those of the autoencoder itself, tell a constant from a curvature.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder
from lincae.streams import Draws


class Moved:
    """Base of the wrappers: all but `encode` and `decode` are the autoencoder's.

    Args:
        autoencoder: whose origin is moved.
    """

    def __init__(self, autoencoder: LatentAutoencoder) -> None:
        self.autoencoder = autoencoder
        self.sample_rate, self.margin = autoencoder.sample_rate, autoencoder.margin

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

    def encode(self, audio: Tensor) -> Tensor:
        return self.autoencoder.encode(audio) - self._silence(audio.shape[-1], audio.device)

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        origin = self._origins[latents.shape[-1]]
        return self.autoencoder.decode(latents + origin, noise, steps)

    def __init__(self, autoencoder: LatentAutoencoder) -> None:
        super().__init__(autoencoder)
        self._origins: dict[int, Tensor] = {}  # by the number of latent frames

    def _silence(self, samples: int, device: torch.device) -> Tensor:
        """Enc(0), (1, D, L)."""
        origin = self.autoencoder.encode(torch.zeros(1, samples, device=device))
        self._origins[origin.shape[-1]] = origin
        return origin


class DecoderCentered(Moved):
    """Decodes relative to that of the zero latent under the same noise, d0 = Dec(0; n): Dec - d0."""

    def decode(self, latents: Tensor, noise: Tensor | None, steps: int = 1) -> Tensor:
        zero = self.autoencoder.decode(torch.zeros_like(latents), noise, steps)
        return self.autoencoder.decode(latents, noise, steps) - zero
