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
    """

    def __init__(self, embed: Embedding | None = None) -> None:
        super().__init__()
        self.embed = embed or LogMelStatistics()

    def make_metrics(self, clips: int, stems: Sequence[str]) -> Sequence[ClipTable]:
        return [EmbeddingTable(clips, self.embed) for _ in ("originals", "reconstructions")]

    def measure(self, clips: DecodedClips, batch: dict[str, Tensor]) -> None:
        for table, audio in zip(self.metrics, (clips.audio, clips.decoded), strict=True):
            table.update(audio, clips.index, clips.autoencoder.sample_rate)

    def compute(self) -> dict[str, Tensor]:
        return self._defined(embedding_distances)

    def summaries(self, groups: Tensor) -> dict[str, Summary]:
        return self._defined(partial(embedding_summaries, groups=groups))

    def _defined(self, distances: Callable[[Any, Any], dict[str, Any]]) -> dict[str, Any]:
        """Distances of the two tables; none of fewer than two clips, or, after a warning, of originals without any."""
        originals, reconstructions = self.metrics
        if next(iter(originals.counts().values())) < 2:  # of all processes: all of them go the same way from here
            return {}
        try:
            return distances(originals, reconstructions)
        except ValueError as error:
            rank_zero_warn(f"no distances in the space of {self.embed.name}: {error}")
            return {}
