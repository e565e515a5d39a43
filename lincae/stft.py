"""Audio <-> the spectrogram that the networks work on."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class Spectrogram(nn.Module):
    """Complex STFT with compressed magnitudes, real and imaginary parts as channels (Music2Latent, arXiv 2408.06500).

    Frames are not centred (no padding) and the Nyquist bin is dropped. The inverse divides by the *steady-state* sum of
    squared windows, so the first and last `margin` samples of a round trip fade in and out: there fewer than
    window / hop frames overlap, and dividing by their exact sum would divide by almost zero.

    Everything is computed in float32, whatever the autocast mode.

    Args:
        hop: samples between frames.
        window: length of the periodic Hann window and of the transform; a multiple of `hop`.
        alpha, beta: the compression X -> beta |X|^alpha exp(j arg X).
        fold: neighbouring bins folded into channels, which makes maps smaller and wider. 1 at reference size.
    """

    window_values: Tensor

    def __init__(
        self, hop: int = 512, window: int = 2048, alpha: float = 0.65, beta: float = 0.34, fold: int = 1
    ) -> None:
        super().__init__()
        if window % hop:
            raise ValueError(f"window ({window}) must be a multiple of hop ({hop})")
        if (window // 2) % fold:
            raise ValueError(f"fold ({fold}) must divide the number of bins ({window // 2})")
        self.hop, self.window, self.alpha, self.beta, self.fold = hop, window, alpha, beta, fold
        self.register_buffer("window_values", torch.hann_window(window), persistent=False)

    @property
    def channels(self) -> int:
        """Channels of the map: real and imaginary part of `fold` bins."""
        return 2 * self.fold

    @property
    def bins(self) -> int:
        """Bins F of the map."""
        return self.window // 2 // self.fold

    @property
    def margin(self) -> int:
        """Samples at either end that a round trip cannot restore."""
        return self.window - self.hop

    def frames(self, samples: int) -> int:
        """Number of whole frames L in so many samples."""
        return max(0, (samples - self.window) // self.hop + 1)

    def samples(self, frames: int) -> int:
        """Number of samples that so many frames span."""
        return (frames - 1) * self.hop + self.window

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (N, T), full scale 1 -> map (N, C, F, L), float32; samples after the last whole frame are not seen.

        Raises:
            ValueError: if the audio is shorter than one window.
        """
        if audio.shape[-1] < self.window:
            raise ValueError(f"audio of {audio.shape[-1]} samples is shorter than one window ({self.window} samples)")
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(),
                self.window,
                self.hop,
                window=self.window_values,
                center=False,
                return_complex=True,
            )[:, :-1]
            parts = rearrange(torch.view_as_real(spectrum), "n f l c -> n c f l")
            return rearrange(compress(parts, self.alpha, self.beta), "n c (f k) l -> n (c k) f l", k=self.fold)

    def whole(self, audio: Tensor, time_stride: int) -> Tensor:
        """As `forward`, for audio that decodes to as many frames as it has.

        Raises:
            ValueError: if its frames are not a multiple of the latents' time stride.
        """
        spectrogram = self(audio)
        frames = spectrogram.shape[-1]
        if frames % time_stride:
            fitting = self.samples(frames - frames % time_stride or time_stride)
            raise ValueError(
                f"{audio.shape[-1]} samples are {frames} STFT frames, not a multiple of the latents' time stride "
                f"{time_stride}: use crops of {fitting} samples, for example"
            )
        return spectrogram

    def inverse(self, spectrogram: Tensor) -> Tensor:
        """Map (N, C, F, L) -> audio (N, samples(L))."""
        with torch.autocast(spectrogram.device.type, enabled=False):
            parts = rearrange(spectrogram.float(), "n (c k) f l -> n c (f k) l", k=self.fold)
            parts = functional.pad(expand(parts, self.alpha, self.beta), (0, 0, 0, 1))
            spectrum = torch.complex(parts[:, 0], parts[:, 1])
            frames = torch.fft.irfft(spectrum, dim=1) * self._synthesis_window()[:, None]
            length = self.samples(frames.shape[-1])
            audio = functional.fold(frames, (1, length), kernel_size=(1, self.window), stride=(1, self.hop))
            return audio[:, 0, 0]

    def _synthesis_window(self) -> Tensor:
        overlap = self.window_values.square().view(-1, self.hop).sum(0)
        return self.window_values / overlap.repeat(self.window // self.hop)


def compress(parts: Tensor, alpha: float, beta: float) -> Tensor:
    """X -> beta X |X|^(alpha - 1) on real and imaginary parts, (N, 2, F, L); 0 -> 0, with finite gradients."""
    return beta * _power(parts, alpha)


def expand(parts: Tensor, alpha: float, beta: float) -> Tensor:
    """The inverse of `compress`."""
    return _power(parts / beta, 1 / alpha)


def _power(parts: Tensor, exponent: float) -> Tensor:
    energy = parts.square().sum(dim=1, keepdim=True).clamp_min(1e-20)
    return parts * energy ** ((exponent - 1) / 2)
