"""The protocols of evaluation: which audio is read, and which figures are measured on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from callbacks import (
    AdditivityFigures,
    EmbeddingFigures,
    Figures,
    HomogeneityFigures,
    MixingFigures,
    ReconstructionFigures,
    RemovalFigures,
    SeparationFigures,
)
from datamodules.corpus import Corpus
from datamodules.index import AudioFile, CorpusIndex
from datamodules.validation import stems_of_tracks
from lincae.autoencoders.origin import DecoderCentered, LatentCentered


class Measured(NamedTuple):
    """Figures, of the autoencoder as it is or with its origin moved.

    Attributes:
        figures: what is measured.
        wrap: autoencoder -> autoencoder.
        suffix: of the figures' names.
    """

    figures: Figures
    wrap: Callable[[Any], Any]
    suffix: str


class Protocol(NamedTuple):
    """What an evaluation does.

    Attributes:
        patterns: of the audio files below the folder of the data.
        tracks: index -> names of the stems, and name and files of each clip or track.
        measured: headline gains, gains of the curve, sample rate -> figures in their order.
    """

    patterns: list[str]
    tracks: Callable[[CorpusIndex], tuple[list[str], list[tuple[str, Sequence[AudioFile]]]]]
    measured: Callable[[Sequence[float], Sequence[float], int], list[Measured]]


def clips(index: CorpusIndex) -> tuple[list[str], list[tuple[str, Sequence[AudioFile]]]]:
    """Every file by itself."""
    return [], [(file.path, [file]) for file in index.files]


def stems(index: CorpusIndex) -> tuple[list[str], list[tuple[str, Sequence[AudioFile]]]]:
    """The stems of each track, `<track>/<stem>.<extension>`, without its mixture."""
    names, tracks = stems_of_tracks(index.files)
    return names, [(files[0].path.rpartition("/")[0], files) for files in tracks]


def centred(make: Callable[[], Sequence[Figures]]) -> list[Measured]:
    """Figures with either origin taken out."""
    origins = [(LatentCentered, "_centered"), (DecoderCentered, "_dcentered")]
    return [Measured(figures, wrap, suffix) for wrap, suffix in origins for figures in make()]


def as_it_is(autoencoder: Any) -> Any:
    """The autoencoder."""
    return autoencoder


def measure_clips(headline: Sequence[float], curve: Sequence[float], sample_rate: int) -> list[Measured]:
    """Reconstruction, homogeneity, pairwise mixes."""
    raw = [
        ReconstructionFigures(),
        EmbeddingFigures(sample_rate=sample_rate),
        HomogeneityFigures(list(headline), list(curve)),
        MixingFigures(),
    ]
    return [
        *(Measured(figures, as_it_is, "") for figures in raw),
        *centred(lambda: [HomogeneityFigures(list(headline), list(headline))]),
    ]


def measure_stems(headline: Sequence[float], curve: Sequence[float], sample_rate: int) -> list[Measured]:
    """The same of the mixes, and additivity, separation and removal of their stems."""
    raw = [AdditivityFigures(curve=True), SeparationFigures(by_sum=True), RemovalFigures()]
    return [
        *measure_clips(headline, curve, sample_rate),
        *(Measured(figures, as_it_is, "") for figures in raw),
        *centred(lambda: [AdditivityFigures(), SeparationFigures(by_sum=True)]),
    ]


PROTOCOLS = {
    "clips": Protocol(["**/*"], clips, measure_clips),
    "stems": Protocol(["**/*/*"], stems, measure_stems),
}


def corpus_of(folder: str, protocol: Protocol) -> Corpus:
    """The data of an evaluation."""
    return Corpus(folder, patterns=protocol.patterns)
