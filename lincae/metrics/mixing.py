"""Mixing in the latent space: a decoded mix of two latents against the mix of the two sounds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from lincae.metrics.curve import Curve
from lincae.metrics.ratios import si_sdr
from lincae.metrics.spectral import multi_scale_spectral
from lincae.metrics.waveforms import is_active

MIX_RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
HEADLINE_RATIO = 0.5

SMALLEST_DISTANCE = 1e-3
"""MSS below which a reconstruction is too near to its mix to be divided by: that of a gain of 0.004 dB."""


def mix_pairs(first: Tensor, second: Tensor, ratios: Tensor) -> Tensor:
    """a u + (1 - a) v for each ratio a, of latents (z, the decoder's input) as of waveforms (m, the target).

    Args:
        first, second: u and v, (N, ...).
        ratios: a, (R,).

    Returns:
        (R, N, ...), float32.
    """
    return torch.stack([a * first.float() + (1 - a) * second.float() for a in ratios])


class Mixing(Curve):
    """Decoded mixes of two latents, z = a Enc(x1) + (1 - a) Enc(x2), against the mix m = a x1 + (1 - a) x2.

    - `mixing/truth_si_sdr`: SI-SDR(Dec(z), m), dB, higher is better.
    - `mixing/mix_rate`: MSS(Dec(z), m) / MSS(Dec(Enc(m)), m), lower is better. 1: mixing latents costs nothing, as at
      a = 0 and a = 1, where both decodes are the same; below 1 it beats encoding the mix. A decoder that ignores its
      latents has a rate of 1 too, so read it beside the other.

    Columns are `{figure}/r0.50` for each ratio; the headline is the ratio 0.5. A pair counts where its mix is active at
    every ratio, so the whole curve sees the same pairs.

    The rate is a ratio for each pair, then averaged: each pair is compared with its own reconstruction, has equal
    weight, and can be resampled like any other figure. (A ratio of means would be governed by the few pairs that
    reconstruct worst.) It is absent for a pair whose reconstruction is exact up to rounding, where it has no meaning;
    for a lossless autoencoder that is every pair, and the rate is NaN.

    Source: Akhanov (github.com/nurdauletakhanov/musicgen), whose published rates are of a training loss with mel and
    waveform terms in place of MSS.

    Args:
        clips: number of pairs in the evaluation set.
        ratios: the curve's mix ratios a, with 0.5 among them.

    Attributes:
        ratios: (R,), float32; the ratios to mix with.

    Raises:
        ValueError: if a ratio lies outside [0, 1]; see also `Curve`.
    """

    ratios: Tensor

    def __init__(self, clips: int, ratios: Sequence[float] = MIX_RATIOS) -> None:
        if outside := [ratio for ratio in ratios if not 0 <= ratio <= 1]:
            raise ValueError(f"mix ratios {outside} lie outside [0, 1]: two sounds are mixed in shares a and 1 - a")
        super().__init__(clips, ["mixing/truth_si_sdr", "mixing/mix_rate"], "r", ratios, [HEADLINE_RATIO])
        self.register_buffer("ratios", torch.tensor(ratios, dtype=torch.float32), persistent=False)

    def update(  # type: ignore[override]
        self, decoded: Tensor, reconstructed: Tensor, mixes: Tensor, clip_index: Tensor
    ) -> None:
        """Add pairs, all decoded from the same noise, with ratios in the curve's order.

        Args:
            decoded: Dec(z), (R, N, T).
            reconstructed: Dec(Enc(m)), (R, N, T).
            mixes: m, (R, N, T).
            clip_index: index of each pair, (N,).

        Raises:
            ValueError: if there are not as many mixes as ratios.
        """
        if len(mixes) != len(self.ratios):
            raise ValueError(f"{len(mixes)} mixes of each pair for {len(self.ratios)} ratios")
        active = is_active(mixes).all(dim=0)[:, None, None]
        p, q, m = (rearrange(audio, "r n t -> (r n) t") for audio in (decoded, reconstructed, mixes))
        distance, reconstruction = (multi_scale_spectral(estimate, m).double() for estimate in (p, q))
        exact = reconstruction < SMALLEST_DISTANCE  # False for NaN: a diverged reconstruction must show
        figures = torch.stack([si_sdr(p, m), distance / reconstruction], dim=1)
        defined = torch.stack([torch.ones_like(exact), ~exact], dim=1)
        values, present = (rearrange(table, "(r n) f -> n r f", r=len(mixes)) for table in (figures, defined))
        super().update(values, clip_index, present & active)
