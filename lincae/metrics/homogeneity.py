"""Homogeneity, f(a x) = a f(x), as a curve over gains and its mean over a few headline gains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lincae.metrics.curve import Curve
from lincae.metrics.linearity import decoder_homogeneity, encoder_homogeneity_error, refuse_zero_gains
from lincae.metrics.waveforms import is_active

HEADLINE_GAINS = (0.25, 0.5, 0.75, 1.1)
CURVE_GAINS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.1, 1.5, 2.0, 3.0)


class GainCurve(Curve):
    """Figures at several gains: columns `{figure}/a0.50` for each gain, and `{figure}`, the headline gains' mean.

    Args:
        clips: number of clips in the evaluation set.
        figures: names of the figures.
        gains: the curve's gains a, none of them 0; a negative one also flips polarity.
        headline: the gains that the headline averages, some of `gains`.

    Attributes:
        gains: the gains to scale inputs with.

    Raises:
        ValueError: if a gain is 0; see also `Curve`.
    """

    def __init__(self, clips: int, figures: Sequence[str], gains: Sequence[float], headline: Sequence[float]) -> None:
        refuse_zero_gains(gains)
        super().__init__(clips, figures, "a", gains, headline)
        self.gains = tuple(gains)


class EncoderHomogeneity(GainCurve):
    """`encoder/homogeneity_error`, relative, lower is better. An encoder that ignores gain scores 1.106.

    Args:
        clips: number of clips in the evaluation set.
        gains: the curve's gains.
        headline: the gains that the headline averages.

    Raises:
        ValueError: see `GainCurve`.
    """

    def __init__(
        self, clips: int, gains: Sequence[float] = CURVE_GAINS, headline: Sequence[float] = HEADLINE_GAINS
    ) -> None:
        super().__init__(clips, ["encoder/homogeneity_error"], gains, headline)

    def update(self, scaled: Tensor, latents: Tensor, clip_index: Tensor) -> None:  # type: ignore[override]
        """Compare Enc(a x) (G, N, D, L) with a Enc(x) for latents Enc(x) (N, D, L), gains in the curve's order."""
        errors = encoder_homogeneity_error(scaled, latents, self.gains)
        super().update(errors[..., None], clip_index)


class DecoderHomogeneity(GainCurve):
    """`decoder/homogeneity_mss`, lower is better, and `decoder/homogeneity_snr` in dB, higher is better.

    A decoder that ignores gain has a headline MSS of 1.722. At a = 1 both sides are the same decode: an MSS other than
    0 shows that they did not share their noise. The SNR there is finite, above 100 dB and says no more than "equal": a
    plot of the curve leaves it out. Clips count where Dec(z) is active, so every gain sees the same ones.

    Args:
        clips: number of clips in the evaluation set.
        gains: the curve's gains.
        headline: the gains that the headline averages.

    Raises:
        ValueError: see `GainCurve`.
    """

    def __init__(
        self, clips: int, gains: Sequence[float] = CURVE_GAINS, headline: Sequence[float] = HEADLINE_GAINS
    ) -> None:
        super().__init__(clips, ["decoder/homogeneity_mss", "decoder/homogeneity_snr"], gains, headline)

    def update(self, scaled: Tensor, decoded: Tensor, clip_index: Tensor) -> None:  # type: ignore[override]
        """Compare Dec(a z) (G, N, T) with a Dec(z) for decoded Dec(z) (N, T), gains in the curve's order."""
        figures = torch.stack(decoder_homogeneity(scaled, decoded, self.gains), dim=-1)
        super().update(figures, clip_index, is_active(decoded)[:, None, None])
