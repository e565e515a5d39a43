"""The best linear autoencoder of a size: what linearity alone costs in reconstruction."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from einops import rearrange
from torch import Tensor, nn

from lincae.framing import Framing
from lincae.stft import Spectrogram
from lincae.streams import Draws


class LinearAutoencoder(nn.Module):
    """Principal components of spectrogram patches; a `lincae.autoencoders.protocol.LatentAutoencoder` without a loss.

    A patch is all bins of `time_stride` frames of all channels, real and imaginary parts without compression. Encoding
    projects it onto D orthonormal directions and decoding is the transpose, so both are linear up to rounding. Of all
    linear maps of this rank, `fit` finds the one with the smallest squared error on the patches it sees (Eckart and
    Young, 1936).

    Args:
        hop, window: of the STFT, samples.
        latents: D.
        time_stride: frames of a patch.
        sample_rate: Hz.
        audio_channels: C; for more than one, audio is (N, C, T) wherever (N, T) is written.

    Raises:
        ValueError: if a patch has fewer than D numbers.
    """

    components: Tensor  # (D, numbers of a patch), orthonormal rows

    def __init__(
        self,
        hop: int = 512,
        window: int = 2048,
        latents: int = 8,
        time_stride: int = 1,
        sample_rate: int = 44_100,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        self.hop, self.window, self.latents, self.time_stride = hop, window, latents, time_stride
        self.sample_rate, self.audio_channels = sample_rate, audio_channels
        self.spectrogram = Spectrogram(hop, window, alpha=1.0, beta=1.0)
        numbers = 2 * self.spectrogram.bins * time_stride * audio_channels
        if latents > numbers:
            raise ValueError(f"latents ({latents}) must be at most the numbers of a patch ({numbers})")
        # In float64, which neither autocast nor reduced-precision products on a GPU touch.
        self.register_buffer("components", torch.eye(latents, numbers, dtype=torch.float64))

    @property
    def margin(self) -> int:
        """Samples at either end that the inverse STFT fades."""
        return self.spectrogram.margin

    @property
    def framing(self) -> Framing:
        """Lengths of audio and latents."""
        return Framing(self.hop, self.window, self.time_stride)

    def patches(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> patches (N, numbers, L), float64; frames that fill no whole patch are left out."""
        frames = self.spectrogram(rearrange(audio, "... t -> (...) t")).double()
        whole = frames[..., : frames.shape[-1] - frames.shape[-1] % self.time_stride]
        return rearrange(whole, "(n a) c f (l s) -> n (a c f s) l", a=self.audio_channels, s=self.time_stride)

    @torch.no_grad()
    def fit(self, clips: Iterable[Tensor]) -> tuple[float, float]:
        """Takes the components from clips, in closed form: the leading eigenvectors of their second moments.

        The mean is not taken out, or the map would be affine.

        Args:
            clips: batches (N, T), which are gone through once.

        Returns:
            The share of the patches' energy that is kept, in [0, 1], and the standard deviation of the latents.

        Raises:
            ValueError: if the clips are silent or too short.
        """
        size = self.components.shape[1]
        moments = torch.zeros(size, size, dtype=torch.float64, device=self.components.device)
        sums, count = moments.new_zeros(size), 0
        for audio in clips:
            rows = rearrange(self.patches(audio.to(moments.device)), "n d l -> (n l) d")
            moments += rows.mT @ rows
            sums += rows.sum(dim=0)
            count += len(rows)
        total = moments.trace()
        if not total > 0:
            raise ValueError("there is nothing to fit: the clips are silent, or shorter than a patch")
        values, vectors = torch.linalg.eigh(moments)
        self.components.copy_(vectors[:, -self.latents :].flip(1).mT)
        kept = values[-self.latents :].sum()
        variance = kept / (count * self.latents) - ((self.components @ sums).mean() / count).square()
        return float(kept / total), float(variance.sqrt())

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (N, T) -> latents (N, D, L), float32."""
        return (self.components @ self.patches(audio)).float()

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> None:
        """None: decoding is deterministic."""

    def decode(self, latents: Tensor, noise: Tensor | None = None, steps: int = 1) -> Tensor:
        """Latents (N, D, L) -> audio (N, T'), T' the samples of time stride x L frames."""
        patches = (self.components.mT @ latents.double()).float()
        sizes = {"a": self.audio_channels, "c": 2, "s": self.time_stride}
        audio = self.spectrogram.inverse(rearrange(patches, "n (a c f s) l -> (n a) c f (l s)", **sizes))
        return audio if self.audio_channels == 1 else rearrange(audio, "(n a) t -> n a t", a=self.audio_channels)
