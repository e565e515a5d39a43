"""Figures as a curve over a number that is varied, and their mean over a few headline points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from lincae.metrics.clip_table import ClipTable


class Curve(ClipTable):
    """Figures at P points: columns `{figure}/{symbol}0.50` for each point, and `{figure}`, the headline points' mean.

    Args:
        clips: number of clips in the evaluation set.
        figures: names of the figures.
        symbol: letter of what is varied, such as `a` for a gain.
        points: its values.
        headline: the points that the headline averages, some of `points`.

    Raises:
        ValueError: if the headline points are none or not among `points`, or two points are equal to two decimals.
    """

    _headline: Tensor

    def __init__(
        self, clips: int, figures: Sequence[str], symbol: str, points: Sequence[float], headline: Sequence[float]
    ) -> None:
        if not headline or not set(headline) <= set(points):
            raise ValueError(f"headline points {list(headline)} must be some of the curve's points {list(points)}")
        self._figures, self._symbol, self._points = tuple(figures), symbol, tuple(points)
        super().__init__(clips, [*figures, *(self._column(figure, point) for point in points for figure in figures)])
        places = torch.tensor([list(points).index(point) for point in headline])
        self.register_buffer("_headline", places, persistent=False)

    def update(self, values: Tensor, clip_index: Tensor, present: Tensor | None = None) -> None:
        """Add figures to the curve. A headline exists where all of its points do.

        Args:
            values: figures, (N, P, figures).
            clip_index: the clip that each row belongs to, (N,).
            present: which figures exist, bool, (N, P, figures), or 1 in place of P or figures; all of them by default.
        """
        if present is None:
            present = torch.ones_like(values, dtype=torch.bool)
        present = present.expand_as(values)
        headline, has_headline = values[:, self._headline].mean(dim=1), present[:, self._headline].all(dim=1)
        super().update(
            torch.cat([headline, rearrange(values, "n p f -> n (p f)")], dim=1),
            clip_index,
            torch.cat([has_headline, rearrange(present, "n p f -> n (p f)")], dim=1),
        )

    def curve(self) -> dict[float, dict[str, Tensor]]:
        """The mean of each figure at each point: point -> figure -> mean over clips."""
        means = self.compute()
        return {
            point: {figure: means[self._column(figure, point)] for figure in self._figures} for point in self._points
        }

    def _column(self, figure: str, point: float) -> str:
        return f"{figure}/{self._symbol}{point:.2f}"
