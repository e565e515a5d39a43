"""How far an encoder or a decoder is from being linear: f(a x) = a f(x) and f(x + y) = f(x) + f(y).

A constant map and a silent one can be perfectly linear, so read these figures beside the reconstruction's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lincae.metrics.ratios import signal_to_noise
from lincae.metrics.spectral import multi_scale_spectral


def relative_error(estimate: Tensor, target: Tensor) -> Tensor:
    """|u - v| / (|v| + 1e-8), Euclidean norms over (D, L), of estimates u and targets v.

    Args:
        estimate, target: latents, (N, D, L).

    Returns:
        Errors (N,), >= 0, lower is better, float64. A common factor on both leaves them as they are.
    """
    estimate, target = estimate.double(), target.double()
    norm = torch.linalg.vector_norm
    return norm(estimate - target, dim=(-2, -1)) / (norm(target, dim=(-2, -1)) + 1e-8)


def encoder_homogeneity_error(scaled: Tensor, latents: Tensor, gains: Sequence[float]) -> Tensor:
    """Relative error of Enc(a x) against a Enc(x), for each gain a.

    An encoder that ignores gain scores |1 - a| / |a| for a > 0.

    Args:
        scaled: Enc(a x), (G, N, D, L).
        latents: Enc(x), (N, D, L).
        gains: a, G of them, none 0.

    Returns:
        Errors (N, G), float64, lower is better.

    Raises:
        ValueError: if a gain is 0.
    """
    return torch.stack([relative_error(*pair) for pair in _against_scaled(scaled, latents, gains)], dim=1)


def decoder_homogeneity(scaled: Tensor, decoded: Tensor, gains: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Dec(a z) against a Dec(z), for each gain a; both decoded from the same noise, which is not scaled by a.

    A decoder that ignores gain has an MSS of |1 / a - 1| + |ln a|.

    Args:
        scaled: Dec(a z), (G, N, T).
        decoded: Dec(z), (N, T).
        gains: a, G of them, none 0.

    Returns:
        The multi-scale spectral distance (N, G), lower is better, and the signal-to-noise ratio (N, G) in dB, higher is
        better. The latter is finite but above 100 dB where both sides agree exactly, as they must for a = 1.

    Raises:
        ValueError: if a gain is 0.
    """
    pairs = _against_scaled(scaled, decoded, gains)
    return (
        torch.stack([multi_scale_spectral(*pair) for pair in pairs], dim=1),
        torch.stack([signal_to_noise(*pair) for pair in pairs], dim=1),
    )


def encoder_additivity_error(sources: Tensor, mixture: Tensor) -> Tensor:
    """Relative error of sum_k Enc(s_k) against Enc(sum_k s_k).

    A constant encoder scores K - 1.

    Args:
        sources: Enc(s_k), (N, K, D, L).
        mixture: Enc(sum_k s_k), (N, D, L).

    Returns:
        Errors (N,), float64, lower is better.

    Raises:
        ValueError: if there are fewer than two sources.
    """
    if sources.shape[1] < 2:
        raise ValueError(f"additivity needs at least 2 sources, got {sources.shape[1]}")
    return relative_error(sources.sum(dim=1, dtype=torch.float32), mixture)


def refuse_zero_gains(gains: Sequence[float]) -> None:
    """Raise ValueError if a gain is 0: an error relative to silence has no meaning."""
    if 0 in gains:
        raise ValueError(
            f"gain 0 in {list(gains)}: homogeneity is measured relative to the scaled output, leave it out"
        )


def _against_scaled(scaled: Tensor, reference: Tensor, gains: Sequence[float]) -> list[tuple[Tensor, Tensor]]:
    """Pairs f(a x), a f(x). The product is float32, as the caller's a x is: so an identity map scores exactly 0."""
    refuse_zero_gains(gains)
    return [(row, gain * reference.float()) for row, gain in zip(scaled, gains, strict=True)]
