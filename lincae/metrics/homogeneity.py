"""Homogeneity, f(a x) = a f(x), as a curve over gains and its mean over a few headline gains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from lincae.metrics.clip_table import ClipTable
from lincae.metrics.linearity import decoder_homogeneity, encoder_homogeneity_error, refuse_zero_gains
from lincae.metrics.waveforms import is_active

HEADLINE_GAINS = (0.25, 0.5, 0.75, 1.1)
CURVE_GAINS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.1, 1.5, 2.0, 3.0)


class GainCurve(ClipTable):
    """Figures at several gains: columns `{figure}/a0.50` for each gain, and `{figure}`, the headline gains' mean.

    Args:
        clips: number of clips in the evaluation set.
        figures: names of the figures.
        gains: the curve's gains a, none of them 0.
        headline: the gains that the headline averages, some of `gains`.

    Attributes:
        gains: (G,), float32; the gains to scale inputs with.

    Raises:
        ValueError: if a gain is 0, or the headline gains are none or not among `gains`, or two gains are equal to two
            decimals.
    """

    gains: Tensor

    def __init__(self, clips: int, figures: Sequence[str], gains: Sequence[float], headline: Sequence[float]) -> None:
        refuse_zero_gains(list(gains))
        if not headline or not set(headline) <= set(gains):
            raise ValueError(f"headline gains {list(headline)} must be some of the curve's gains {list(gains)}")
        super().__init__(clips, [*figures, *(_column(figure, gain) for gain in gains for figure in figures)])
        self._figures, self._gains = tuple(figures), tuple(gains)
        self._headline = [list(gains).index(gain) for gain in headline]
        self.register_buffer("gains", torch.tensor(gains, dtype=torch.float32), persistent=False)

    def update(self, values: Tensor, clip_index: Tensor, active: Tensor | None = None) -> None:
        """Add figures (N, G, figures) of the clips `clip_index` (N,), of which those `active` (N,) count."""
        headline = values[:, self._headline].mean(dim=1)
        table = torch.cat([headline, rearrange(values, "n g f -> n (g f)")], dim=1)
        super().update(table, clip_index, None if active is None else active[:, None])

    def curve(self) -> dict[float, dict[str, Tensor]]:
        """The mean of each figure at each gain: gain -> figure -> mean over clips."""
        means = self.compute()
        return {gain: {figure: means[_column(figure, gain)] for figure in self._figures} for gain in self._gains}


def _column(figure: str, gain: float) -> str:
    return f"{figure}/a{gain:.2f}"


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
        super().update(figures, clip_index, is_active(decoded))
