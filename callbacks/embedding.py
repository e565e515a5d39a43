"""How far decoded clips are from real ones, as sets of points in the space of a frozen network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from callbacks.figures import Figures
from lincae.evaluation import DecodedClips
from lincae.metrics import (
    ClipTable,
    Embedding,
    EmbeddingTable,
    LogMelStatistics,
    Summary,
    embedding_distances,
    embedding_summaries,
)


class EmbeddingFigures(Figures):
    """Logs `val/kad_NAME` and `val/fad_NAME` of reconstructions, NAME that of the network.

    They are figures of the whole set: compare models on the same clips alone.

    Args:
        embed: the network; by default one that needs no weights, `logmel`.
        sample_rate: of the clips, Hz.
    """

    def __init__(self, embed: Embedding | None = None, sample_rate: int = 44_100) -> None:
        super().__init__()
        self.embed, self.sample_rate = embed or LogMelStatistics(), sample_rate

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return [EmbeddingTable(clips, self.embed, self.sample_rate) for _ in ("originals", "reconstructions")]

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        originals, reconstructions = self.metrics
        originals.update(clips.audio, clips.index)
        reconstructions.update(clips.decoded, clips.index)

    def compute(self) -> dict[str, Tensor]:
        return self._defined(embedding_distances)

    def summaries(self, groups: Tensor) -> dict[str, Summary]:
        return self._defined(partial(embedding_summaries, groups=groups))

    def _defined(self, distances: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
        """Distances of the two tables; none of fewer than two clips, or, after a warning, of originals without any."""
        originals, reconstructions = self.metrics
        if int((originals.seen[:, 0] > 0).sum()) < 2:
            return {}
        try:
            return distances(originals, reconstructions)
        except ValueError as error:
            rank_zero_warn(f"no distances in the space of {self.embed.name}: {error}")
            return {}
