"""The data module of the demo: writes its synthetic corpus, then trains on it like on any folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from datamodules.audio import AudioDataModule
from datamodules.synthetic import write_clips, write_tracks


class SyntheticDataModule(AudioDataModule):
    """Procedural clips and four-stem tracks, made once and kept.

    Args:
        root: where the audio is kept, in a folder for each choice of the settings below.
        clip_count, clip_seconds: training clips, of which some are held out for validation.
        track_count, track_seconds: validation tracks.
        sample_rate: Hz.
        corpus_seed: seed of the sounds. It is not the seed of the run, which chooses crops.
        **settings: as `AudioDataModule`.
    """

    def __init__(
        self,
        root: str = "runs/data",
        clip_count: int = 1000,
        clip_seconds: float = 2.0,
        track_count: int = 8,
        track_seconds: float = 4.0,
        sample_rate: int = 16_000,
        corpus_seed: int = 0,
        **settings: Any,
    ) -> None:
        variant = f"{sample_rate}Hz_seed{corpus_seed}"
        clips = Path(root) / f"clips_{clip_count}x{clip_seconds:g}s_{variant}"
        tracks = Path(root) / f"tracks_{track_count}x{track_seconds:g}s_{variant}"
        super().__init__(train=str(clips), tracks=str(tracks), sample_rate=sample_rate, **settings)
        self._write_clips = partial(write_clips, clips, clip_count, clip_seconds, sample_rate, corpus_seed)
        self._write_tracks = partial(write_tracks, tracks, track_count, track_seconds, sample_rate, corpus_seed)

    def prepare_data(self) -> None:
        """Writes the audio that is not there yet."""
        self._write_clips()
        self._write_tracks()
