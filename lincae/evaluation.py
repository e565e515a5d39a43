"""Decodes that can be compared: the same noise for all decodes of a clip, edges left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lincae.autoencoders.protocol import LatentAutoencoder, channels_of
from lincae.streams import Draws

NOISE_SEED = 2510_23530  # of the decoder's noise in every evaluation


@dataclass
class DecodedClips:
    """Clips, their latents, and their decodes under one noise per clip.

    With fresh noise for each decode, figures of linearity would measure noise: a consistency decoder's phase comes from
    it. The noise depends on the clip's index alone, not on batch, rank or device, and a gain does not scale it.

    Attributes:
        autoencoder: what made them.
        audio: originals as they are heard, (N, T), see `heard`.
        index: of each clip in its data set, (N,), on the device of the audio.
        noise: the decoder's, or None.
        latents: (N, D, L).
        decoded: reconstructions likewise, (N, T).
    """

    autoencoder: LatentAutoencoder
    audio: Tensor
    index: Tensor
    noise: Tensor | None
    latents: Tensor
    decoded: Tensor

    @classmethod
    def of(cls, autoencoder: LatentAutoencoder, audio: Tensor, index: Tensor, repeat: int = 0) -> DecodedClips:
        """Encode and decode clips.

        Args:
            autoencoder: what encodes and decodes.
            audio: (N, T), or (N, C, T) for models of several channels; T is such that a decode is as long, up to the
                margin.
            index: (N,). Noise is drawn for numbers that the host knows: from a GPU they would have to be fetched.
            repeat: which of several noises; figures use 0, the noise floor compares it with 1.

        Raises:
            ValueError: if a decode is shorter than its clip, or the clip no longer than its two margins.
        """
        if audio.shape[-1] <= 2 * autoencoder.margin:
            raise ValueError(
                f"clips of {audio.shape[-1]} samples have nothing left to compare without {autoencoder.margin} samples "
                "at either end: use longer ones"
            )
        latents = autoencoder.encode(audio)
        draws = Draws(NOISE_SEED + repeat, index.tolist())
        clips = cls(
            autoencoder,
            audio,
            index.to(audio.device, non_blocking=True),
            autoencoder.sample_noise(latents, draws),
            latents,
            audio,
        )
        clips.audio = clips.heard(audio)
        clips.decoded = clips.decode(latents)
        return clips

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, D, L) -> audio as it is heard, (N, T), under the clips' own noise."""
        decoded = self.autoencoder.decode(latents, self.noise)
        samples = self.audio.shape[-1] // channels_of(self.autoencoder) + 2 * self.autoencoder.margin
        if decoded.shape[-1] < samples:
            raise ValueError(
                f"clips of {samples} samples decode to {decoded.shape[-1]}: use clips whose STFT frames are a multiple "
                "of the latent's time stride"
            )
        return self.heard(decoded[..., :samples])

    def heard(self, audio: Tensor) -> Tensor:
        """Audio (..., T), or (..., C, T) for models of several channels, as it is compared: (..., T').

        Without margins, and the channels of a clip one after the other.
        """
        inside = trim(audio, self.autoencoder.margin)
        return inside if channels_of(self.autoencoder) == 1 else inside.flatten(-2)

    def playable(self, heard: Tensor) -> Tensor:
        """What was `heard`, (T',), as files and players take it: (T,), or (T, C)."""
        channels = channels_of(self.autoencoder)
        return heard if channels == 1 else heard.unflatten(-1, (channels, -1)).mT

    def decode_each(self, latents: Iterable[Tensor]) -> Tensor:
        """Several sets of latents (N, D, L) for the same clips -> (sets, N, T)."""
        return torch.stack([self.decode(z) for z in latents])


def trim(audio: Tensor, margin: int) -> Tensor:
    """Audio (..., T) without `margin` samples at either end."""
    return audio[..., margin : audio.shape[-1] - margin]
