"""The data module of the demo: writes its synthetic corpus, then trains on it like on any folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from datamodules.audio import AudioDataModule
from datamodules.corpus import Corpus
from datamodules.synthetic import write_clips, write_tracks


class SyntheticDataModule(AudioDataModule):
    """Procedural clips to train on and four-stem tracks to validate on, made once and kept.

    The validation clips are the tracks' mixtures, so that figures of clips and of tracks are about the same music.

    Args:
        train: a folder of your own to train on instead. Nothing synthetic is written then, whole files are held out
            for validation, and tracks are sums of those.
        root: where the audio is kept, in a folder for each choice of the settings below.
        clip_count, clip_seconds: training clips.
        track_count, track_seconds: validation tracks.
        sample_rate: Hz.
        corpus_seed: seed of the sounds. It is not the seed of the run, which chooses crops.
        sums: validate on stems instead, and on sums of `sources_per_track` stems of different tracks.
        **settings: as `AudioDataModule`.
    """

    def __init__(
        self,
        train: str | None = None,
        root: str = "runs/data",
        clip_count: int = 1000,
        clip_seconds: float = 2.0,
        track_count: int = 16,
        track_seconds: float = 4.0,
        sample_rate: int = 16_000,
        corpus_seed: int = 0,
        sums: bool = False,
        **settings: Any,
    ) -> None:
        if train is not None:
            super().__init__(train=train, validation=None, tracks=None, sample_rate=sample_rate, **settings)
            self._writers = []
            return
        clips = corpus_folder(root, "clips", clip_count, clip_seconds, sample_rate, corpus_seed)
        tracks = corpus_folder(root, "tracks", track_count, track_seconds, sample_rate, corpus_seed)
        super().__init__(
            train=str(clips),
            validation={"tracks": Corpus(str(tracks), patterns=["*/[!m]*.wav" if sums else "*/mixture.wav"])},
            tracks=None if sums else str(tracks),
            sample_rate=sample_rate,
            **settings,
        )
        self._writers = [
            partial(write_clips, clips, clip_count, clip_seconds, sample_rate, corpus_seed),
            partial(write_tracks, tracks, track_count, track_seconds, sample_rate, corpus_seed),
        ]

    def prepare_data(self) -> None:
        """Writes the audio that is not there yet."""
        for write in self._writers:
            write()
        super().prepare_data()


def corpus_folder(root: str, kind: str, count: int, seconds: float, sample_rate: int, seed: int) -> Path:
    """Where synthetic audio lies: a folder for each choice of kind (clips or tracks) and settings."""
    return Path(root) / f"{kind}_{count}x{seconds:g}s_{sample_rate}Hz_seed{seed}"
