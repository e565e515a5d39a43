"""Clips as points in the space of a frozen network, and how far apart two sets of them lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

from lincae.metrics.clip_table import ClipTable, Summary
from lincae.metrics.set_distances import (
    frechet_audio_distance,
    kernel_audio_distance,
    kernel_audio_distance_interval,
)


class Embedding(nn.Module):
    """Base of the frozen networks that turn audio into points; a subclass wraps a network of your choice.

    Attributes:
        name: becomes part of the figures' names, for distances in different spaces do not compare.
        sample_rate: of the audio that it expects, Hz.
        dimensions: D.
    """

    name: str
    sample_rate: int
    dimensions: int

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (N, T), full scale 1, at `sample_rate` -> embeddings (N, D)."""
        raise NotImplementedError


class LogMelStatistics(Embedding):
    """`logmel`: mean and deviation over time of a log-mel spectrogram, under a fixed random projection.

    Needs no weights, so it runs anywhere, and knows of timbre and level but not of music. Nothing about it can be set:
    the name says all.
    """

    name = "logmel"
    sample_rate = 44_100
    dimensions = 32

    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram(self.sample_rate, n_fft=2048, hop_length=512, n_mels=64)
        normal = torch.randn(128, self.dimensions, generator=torch.Generator().manual_seed(0))
        self.register_buffer("projection", normal / self.dimensions**0.5)

    def forward(self, audio: Tensor) -> Tensor:
        """Audio (N, T), full scale 1, T > 1024 -> embeddings (N, 32)."""
        bands = (self.mel(audio) + 1e-6).log()
        return torch.cat([bands.mean(dim=-1), bands.std(dim=-1, correction=0)], dim=-1) @ self.projection


class EmbeddingTable(ClipTable):
    """Embeddings of all clips, one column per dimension; compare two tables by `embedding_distances`.

    Args:
        clips: number of clips in the evaluation set.
        embed: the network; put into evaluation mode here.
    """

    def __init__(self, clips: int, embed: Embedding) -> None:
        super().__init__(clips, [f"{embed.name}/{dimension}" for dimension in range(embed.dimensions)])
        self.embed = embed.eval()

    def update(self, audio: Tensor, clip_index: Tensor, sample_rate: int) -> None:  # type: ignore[override]
        """Embed clips, without autocast.

        Args:
            audio: (N, T), full scale 1.
            clip_index: (N,).
            sample_rate: of the audio, Hz, which is resampled to the network's.
        """
        with torch.autocast(audio.device.type, enabled=False):
            embeddings = self.embed(resample(audio.float(), sample_rate, self.embed.sample_rate))
        super().update(embeddings, clip_index)

    def embeddings(self) -> Tensor:
        """Embeddings of the clips seen by any process, in the order of their index: (clips seen, D), float64."""
        with self._gathered():
            has = self.seen[:, 0] > 0
            return self.total[has] / self.seen[has]


def embedding_distances(reference: EmbeddingTable, evaluated: EmbeddingTable) -> dict[str, Tensor]:
    """`kad_{name}` and `fad_{name}` of an evaluated set from a reference set, lower is better.

    They are NaN if a clip of the evaluated set diverged, that is, if its embedding is not finite.

    Raises:
        ValueError: if the tables hold different embeddings; see also `kernel_audio_distance`.
    """
    names = reference.embed.name, evaluated.embed.name
    if names[0] != names[1]:
        raise ValueError(f"embeddings {names[0]!r} and {names[1]!r} span different spaces: use one for both tables")
    sets = reference.embeddings(), evaluated.embeddings()
    if not sets[1].isfinite().all():
        return dict.fromkeys((f"kad_{names[0]}", f"fad_{names[0]}"), sets[1].new_tensor(torch.nan))
    return {f"kad_{names[0]}": kernel_audio_distance(*sets), f"fad_{names[0]}": frechet_audio_distance(*sets)}


def embedding_summaries(reference: EmbeddingTable, evaluated: EmbeddingTable, groups: Tensor) -> dict[str, Summary]:
    """The distances of two tables of the same clips, and the interval of KAD by the jackknife over groups of clips.

    FAD has no interval: it is biased upwards, and by more than it varies, so an interval around it would not hold what
    it estimates. KAD has none if a clip diverged or fewer than two clips are left without some group.

    Args:
        reference, evaluated: of the same clips.
        groups: the group of each clip of the tables, such as its track, (clips,), integers.

    Raises:
        ValueError: see `embedding_distances`.
    """
    kad, fad = embedding_distances(reference, evaluated).items()
    r, e = reference.embeddings(), evaluated.embeddings()
    seen = groups[(reference.seen[:, 0] > 0).to(groups.device)]
    left = len(seen) - seen.unique(return_counts=True)[1]
    none = low, high = 2 * (r.new_tensor(torch.nan),)
    if (left >= 2).all() and e.isfinite().all():
        low, high = kernel_audio_distance_interval(r, e, seen)
    return {kad[0]: Summary(kad[1], low, high, len(r)), fad[0]: Summary(fad[1], *none, len(r))}
