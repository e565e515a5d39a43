"""How far decoded clips are from real ones, as sets of points in the space of a frozen network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from callbacks.figures import Figures
from lincae.evaluation import DecodedClips
from lincae.metrics import ClipTable, Embedding, EmbeddingTable, LogMelStatistics, embedding_distances


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
        """The distances; none of fewer than two clips."""
        originals, reconstructions = self.metrics
        if int((originals.seen[:, 0] > 0).sum()) < 2:
            return {}
        return embedding_distances(originals, reconstructions)

    def tables(self) -> Sequence[ClipTable]:
        return ()
