"""Rules that every comparison of waveforms shares: lengths and silence.

Waveforms are (N, T) with full scale 1. Edges that an analysis cannot restore are trimmed by the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor

ACTIVE_RMS = 1e-3
LENGTH_TOLERANCE = 512


def common_prefix(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both waveforms cut to the length of the shorter one.

    Args:
        estimate: (..., T).
        target: (..., T'), with the same leading dimensions.

    Raises:
        ValueError: if the leading dimensions differ, or the lengths differ by 512 samples or more.
    """
    if estimate.shape[:-1] != target.shape[:-1]:
        raise ValueError(
            f"estimate {tuple(estimate.shape)} and target {tuple(target.shape)} must agree in all but length"
        )
    lengths = estimate.shape[-1], target.shape[-1]
    if abs(lengths[0] - lengths[1]) >= LENGTH_TOLERANCE:
        raise ValueError(
            f"estimate has {lengths[0]} samples and target {lengths[1]}: they may differ by less than "
            f"{LENGTH_TOLERANCE}; use clips whose length the autoencoder keeps"
        )
    return estimate[..., : min(lengths)], target[..., : min(lengths)]


def rms(audio: Tensor) -> Tensor:
    """Root mean square over the last dimension, (..., T) -> (...), float64."""
    return audio.double().square().mean(dim=-1).sqrt()


def is_active(target: Tensor) -> Tensor:
    """Whether a target is loud enough (rms >= 1e-3, -60 dBFS) to be compared with, (..., T) -> (...), bool.

    Spectral distances and ratios to a silent target measure their own floor, not the estimate.
    """
    return rms(target) >= ACTIVE_RMS


def leakage_dbfs(estimate: Tensor) -> Tensor:
    """Level of what is heard where nothing should be, (..., T) -> (...).

    Returns:
        20 log10 max(rms, 1e-7), dB relative to full scale, float64; lower is better, -140 for silence.
    """
    return 20 * torch.log10(rms(estimate).clamp(min=1e-7))
