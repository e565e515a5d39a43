"""Energy ratios of waveforms in dB: signal-to-noise, and its scale-invariant form.

Means are not removed. Both are computed in float64, where a perfect estimate scores a finite value above 100 dB. A
silent estimate scores 0 dB, and a silent target means nothing: judge active targets only.
"""

from __future__ import annotations

from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_noise_ratio

from lincae.metrics.waveforms import common_prefix


def signal_to_noise(estimate: Tensor, target: Tensor) -> Tensor:
    """SNR, 10 log10(|t|^2 / |p - t|^2), of estimates p (N, T) of targets t (N, T).

    Returns:
        dB, (N,), float64; higher is better.

    Raises:
        ValueError: if the lengths differ by 512 samples or more; below that the common prefix is compared.
    """
    estimate, target = common_prefix(estimate, target)
    return signal_noise_ratio(estimate.double(), target.double())


def si_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio: the SNR against the projection of p on t, for (N, T) each.

    Blind to the estimate's gain and polarity. Source: Le Roux et al., SDR - half-baked or well done?
    (arXiv 1811.02508).

    Returns:
        dB, (N,), float64; higher is better.

    Raises:
        ValueError: if the lengths differ by 512 samples or more; below that the common prefix is compared.
    """
    estimate, target = common_prefix(estimate, target)
    return scale_invariant_signal_distortion_ratio(estimate.double(), target.double())
