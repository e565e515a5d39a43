"""The protocols of evaluation: which audio is read, and which figures are measured on it."""

from __future__ import annotations

import os
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
from datamodules.shards import is_prepared
from datamodules.validation import stems_of_tracks
from lincae.autoencoders.origin import DecoderCentered, LatentCentered
from lincae.metrics import Embedding


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
        layout: what these are, and what to do where there are none.
        tracks: index -> names of the stems, and name and files of each clip or track.
        measured: headline gains, gains of the curve, embeddings -> figures in their order.
    """

    patterns: list[str]
    layout: str
    tracks: Callable[[CorpusIndex], tuple[list[str], list[tuple[str, Sequence[AudioFile]]]]]
    measured: Callable[[Sequence[float], Sequence[float], Sequence[Embedding]], list[Measured]]


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


def measure_clips(headline: Sequence[float], curve: Sequence[float], embeddings: Sequence[Embedding]) -> list[Measured]:
    """Reconstruction, homogeneity, pairwise mixes."""
    raw = [
        ReconstructionFigures(),
        *(EmbeddingFigures(embedding) for embedding in embeddings),
        HomogeneityFigures(list(headline), list(curve)),
        MixingFigures(),
    ]
    return [
        *(Measured(figures, as_it_is, "") for figures in raw),
        *centred(lambda: [HomogeneityFigures(list(headline), list(headline))]),
    ]


def measure_stems(headline: Sequence[float], curve: Sequence[float], embeddings: Sequence[Embedding]) -> list[Measured]:
    """The same of the mixes, and additivity, separation and removal of their stems."""
    raw = [AdditivityFigures(curve=True), SeparationFigures(by_sum=True), RemovalFigures()]
    return [
        *measure_clips(headline, curve, embeddings),
        *(Measured(figures, as_it_is, "") for figures in raw),
        *centred(lambda: [AdditivityFigures(), SeparationFigures(by_sum=True)]),
    ]


PROTOCOLS = {
    "clips": Protocol(["**/*"], "audio: correct it", clips, measure_clips),
    "stems": Protocol(["**/*/*"], "<track>/<stem>.wav: correct it, or give --protocol clips", stems, measure_stems),
}


def corpus_of(folder: str, protocol: Protocol) -> Corpus:
    """The data of an evaluation.

    Raises:
        ValueError: if the folder has no such audio.
    """
    corpus = Corpus(folder, patterns=protocol.patterns)
    if os.path.isdir(corpus.path) and not is_prepared(corpus) and not corpus.audio_paths():
        raise ValueError(f"--data {folder} holds no {protocol.layout}")
    return corpus
