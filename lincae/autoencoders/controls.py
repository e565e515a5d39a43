"""Autoencoders whose scores are known in closed form: they show what a figure can and cannot tell.

Each is a `lincae.autoencoders.protocol.LatentAutoencoder` without parameters, so it can be measured but not trained.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from lincae.framing import Framing
from lincae.stft import Spectrogram
from lincae.streams import Draws


class Identity(nn.Module):
    """Latents are frames of the waveform: every error of linearity is 0 and every comparison perfect.

    Args:
        frame: samples per latent vector, its dimension D. Clips are padded with zeros to whole frames.
        sample_rate: Hz.
    """

    margin = 0

    def __init__(self, frame: int = 4096, sample_rate: int = 44_100) -> None:
        super().__init__()
        self.frame, self.sample_rate = frame, sample_rate

    @property
    def framing(self) -> Framing:
        """Lengths of audio and latents."""
        return Framing(self.frame, self.frame)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L), L = ceil(T / frame)."""
        padded = functional.pad(audio, (0, -audio.shape[-1] % self.frame))
        return rearrange(padded, "n (l d) -> n d l", d=self.frame)

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, frame x L)."""
        return rearrange(latents, "n d l -> n (l d)")


class OrthogonalProjection(Identity):
    """Each frame times a fixed random matrix P with orthonormal rows, decoded by its transpose.

    Exactly linear, and yet a poor autoencoder: of noise it keeps the share latents / frame of the energy. Its sums and
    multiples agree with its own decodes, while additivity against the mix is as bad as the reconstruction.

    Args:
        frame: samples per latent vector.
        latents: dimension D of the latents, at most `frame`; by default a 64th of it, as in the paper.
        seed: of the matrix.
        sample_rate: Hz.

    Raises:
        ValueError: if there are more latents than samples in a frame.
    """

    matrix: Tensor

    def __init__(self, frame: int = 4096, latents: int = 64, seed: int = 0, sample_rate: int = 44_100) -> None:
        super().__init__(frame, sample_rate)
        if latents > frame:
            raise ValueError(f"latents ({latents}) must be at most frame ({frame}): rows could not be orthogonal")
        # In float64, which neither autocast nor reduced-precision products on a GPU touch.
        normal = torch.randn(frame, latents, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("matrix", torch.linalg.qr(normal).Q.mT.contiguous(), persistent=False)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L), L = ceil(T / frame), float32."""
        return (self.matrix @ super().encode(audio).double()).float()

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, frame x L), float32."""
        return super().decode((self.matrix.mT @ latents.double()).float())


class Saturating(Identity):
    """A linear encoder and a decoder that saturates, tanh(drive z) / tanh(drive): the less linear, the more drive.

    Nearly the identity for a small drive; for a large one the sign of the waveform, which ignores gain.

    Args:
        drive: above 0; a latent of 1 / drive is where saturation sets in.
        frame: samples per latent vector, its dimension D.
        sample_rate: Hz.

    Raises:
        ValueError: if the drive is not above 0.
    """

    def __init__(self, drive: float = 1.0, frame: int = 4096, sample_rate: int = 44_100) -> None:
        super().__init__(frame, sample_rate)
        if drive <= 0:
            raise ValueError(f"drive must be above 0, got {drive}")
        self.drive = drive

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, frame x L)."""
        return torch.tanh(self.drive * super().decode(latents)) / math.tanh(self.drive)


class LoudnessNormalising(Identity):
    """Encoder and decoder bring each clip to a root mean square of 1, so both ignore gain.

    Homogeneity errors are |1 - a| / a of the encoder and an MSS of |1 / a - 1| + |ln a| of the decoder. Additivity
    depends on the stems: K equally loud ones have an error of K - 1 where they are the same sound, and of sqrt(K) - 1
    where they are orthogonal. Then Dec(sum z) = Dec(Enc(mix)), though neither is the mix.

    Args:
        frame: samples per latent vector, its dimension D.
        sample_rate: Hz.
    """

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L), L = ceil(T / frame); silence stays silent."""
        return super().encode(_unit_rms(audio))

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, frame x L); silence stays silent."""
        return _unit_rms(super().decode(latents))


class PowerLawSpectrogram(nn.Module):
    """The networks' representation alone, without networks: what it costs, and how linear its compression is.

    Homogeneity errors are |a^(alpha - 1) - 1| of the encoder and an MSS of |a^b - 1| + b |ln a| of the decoder, with
    b = 1 / alpha - 1. K equal stems have an additivity error of K^(1 - alpha) - 1.

    Args:
        spectrogram: the representation.
        sample_rate: Hz.
    """

    def __init__(self, spectrogram: Spectrogram | None = None, sample_rate: int = 44_100) -> None:
        super().__init__()
        self.spectrogram = spectrogram or Spectrogram()
        self.sample_rate = sample_rate

    @property
    def margin(self) -> int:
        """Samples at either end that the inverse STFT fades."""
        return self.spectrogram.margin

    @property
    def framing(self) -> Framing:
        """Lengths of audio and latents."""
        return Framing(self.spectrogram.hop, self.spectrogram.window)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L): D = channels x bins, L STFT frames, float32."""
        return self.spectrogram(audio).flatten(1, 2)

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T'), T' the samples of L frames."""
        return self.spectrogram.inverse(latents.unflatten(1, (self.spectrogram.channels, self.spectrogram.bins)))


def _unit_rms(audio: Tensor) -> Tensor:
    return math.sqrt(audio.shape[-1]) * functional.normalize(audio, dim=-1)
