"""Multi-scale spectral distance (MSS)."""

from __future__ import annotations

import torch
from torch import Tensor

from lincae.metrics.waveforms import common_prefix

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT size, hop and window length, in samples."""

SHORTEST = max(fft for fft, _, _ in RESOLUTIONS) // 2 + 1
"""Samples that a distance needs."""

FLOOR = 1e-8
"""Smallest power of an STFT bin."""


def multi_scale_spectral(estimate: Tensor, target: Tensor) -> Tensor:
    """Spectral convergence plus log-magnitude distance, averaged over three STFT resolutions.

    With magnitudes P, Y of estimate and target, each resolution contributes

        ||P - Y||_F / ||Y||_F + mean |ln P - ln Y|.

    A gain g scores |g - 1| + |ln g|, a flipped polarity 0: read it beside a signal-to-noise ratio. Source: Yamamoto et
    al., Parallel WaveGAN (arXiv 1910.11480), with the resolutions of auraloss; here each clip is normalised by its own
    ||Y||, so a score does not depend on the rest of the batch.

    Args:
        estimate: (N, T), full scale 1. Do not clip it first.
        target: (N, T').

    Returns:
        Distances (N,), >= 0, lower is better; float32 whatever the precision of the audio.

    Raises:
        ValueError: if the clips are too short for the largest FFT, or their lengths differ by 512 samples or more.
    """
    estimate, target = common_prefix(estimate, target)
    if target.shape[-1] < SHORTEST:
        raise ValueError(f"clips of {target.shape[-1]} samples are too short: MSS needs {SHORTEST}")
    distances = [_distance(estimate.float(), target.float(), *resolution) for resolution in RESOLUTIONS]
    return torch.stack(distances).mean(dim=0)


def _distance(estimate: Tensor, target: Tensor, fft: int, hop: int, window: int) -> Tensor:
    P, Y = (_magnitude(audio, fft, hop, window) for audio in (estimate, target))
    convergence = torch.linalg.vector_norm(P - Y, dim=(1, 2)) / torch.linalg.vector_norm(Y, dim=(1, 2))
    return convergence + (P.log() - Y.log()).abs().mean(dim=(1, 2))


def _magnitude(audio: Tensor, fft: int, hop: int, window: int) -> Tensor:
    hann = torch.hann_window(window, device=audio.device)
    spectrum = torch.stft(audio, fft, hop, window, hann, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square()).clamp(min=FLOOR).sqrt()
