"""Losses of decoded waveforms, as objects: each a module (estimate, target), (N, C, T) both -> (N,)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks


class WaveformLoss(nn.Module):
    """Base of the losses: a subclass implements `distance`, of each row by itself.

    Args:
        weight: factor of the loss.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The weighted loss of each row, (N,), in float32 whatever the precision of the step around it."""
        with torch.autocast(estimate.device.type, enabled=False):
            return self.weight * self.distance(estimate.float(), target.float())

    def distance(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (N,), without the weight."""
        raise NotImplementedError


class RelativeL2(WaveformLoss):
    """|estimate - target| / |target| of the waveform: blind to level, but not to phase.

    Args:
        weight: factor of the loss.
        silence: root mean square below which it stops being relative, so that silent targets have a finite one. The
            error has a floor of a thousandth of it, where its gradient would be infinite.
    """

    def __init__(self, weight: float = 1.0, silence: float = 1e-3) -> None:
        super().__init__(weight)
        self.silence = silence

    def distance(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (N,)."""
        estimate, target = estimate.flatten(1), target.flatten(1)
        floor = self.silence * math.sqrt(target.shape[1])
        error = ((estimate - target).square().sum(dim=1) + (1e-3 * floor) ** 2).sqrt()
        return error / (target.square().sum(dim=1) + floor**2).sqrt()


class MultiResolutionSTFT(WaveformLoss):
    """Spectral convergence and log magnitudes at several resolutions (arXiv 1910.11480), from `auraloss`.

    Args:
        weight: factor of the loss.
        fft_sizes, hop_sizes, win_lengths: of each resolution, in samples.
        floor: smallest magnitude of a bin; a silent target has such bins, and with a smaller floor its
            convergence would outweigh all other rows.

    Raises:
        ModuleNotFoundError: without auraloss.
    """

    def __init__(
        self,
        weight: float = 1.0,
        fft_sizes: Sequence[int] = (512, 1024, 256),
        hop_sizes: Sequence[int] = (120, 240, 50),
        win_lengths: Sequence[int] = (400, 800, 200),
        floor: float = 0.01,
    ) -> None:
        super().__init__(weight)
        self.fft_sizes, self.hop_sizes, self.win_lengths = list(fft_sizes), list(hop_sizes), list(win_lengths)
        self.floor = floor
        self.loss = auraloss_freq().MultiResolutionSTFTLoss(
            self.fft_sizes, self.hop_sizes, self.win_lengths, eps=floor**2
        )

    def distance(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (N,)."""
        return row_by_row(self.loss, estimate, target)


class MelSTFT(WaveformLoss):
    """Spectral convergence and log magnitudes of a mel spectrogram, from `auraloss`.

    Args:
        sample_rate: Hz.
        weight: factor of the loss.
        bands: mel bands.
        fft_size, hop_size: in samples.
        floor: smallest magnitude of a bin, as in `MultiResolutionSTFT`.

    Raises:
        ModuleNotFoundError: without auraloss.
    """

    def __init__(
        self,
        sample_rate: int,
        weight: float = 1.0,
        bands: int = 64,
        fft_size: int = 1024,
        hop_size: int = 256,
        floor: float = 0.01,
    ) -> None:
        super().__init__(weight)
        self.sample_rate, self.bands = sample_rate, bands
        self.fft_size, self.hop_size, self.floor = fft_size, hop_size, floor
        loss = auraloss_freq().STFTLoss(fft_size, hop_size, fft_size, eps=floor**2)
        # auraloss asks librosa for the filters of its mel scale; torchaudio makes the same ones
        filters = melscale_fbanks(fft_size // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, "slaney", "slaney")
        loss.scale = "mel"
        loss.register_buffer("fb", filters.mT[None], persistent=False)
        self.loss = loss

    def distance(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (N,)."""
        return row_by_row(self.loss, estimate, target)


def row_by_row(loss: nn.Module, estimate: Tensor, target: Tensor) -> Tensor:
    """A loss that averages over a batch, of each row by itself, (N,): rows must not depend on one another."""
    return torch.stack([loss(*pair) for pair in zip(estimate.split(1), target.split(1), strict=True)])


def auraloss_freq():
    """The losses of auraloss in the frequency domain.

    Raises:
        ModuleNotFoundError: without it: how to get it.
    """
    try:
        from auraloss import freq
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this loss needs auraloss: pip install auraloss") from error
    return freq
