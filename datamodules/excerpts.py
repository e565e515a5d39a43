"""Excerpts to evaluate on: all of every file, cut into pieces of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.index import AudioFile
from datamodules.reader import Crop, CropReader


class Excerpt(NamedTuple):
    """A piece of files that belong together.

    Attributes:
        name: of the clip or track, for tables.
        track: its number, by which excerpts are grouped.
        files: K files, cut at the same place.
        start: first sample.
    """

    name: str
    track: int
    files: Sequence[AudioFile]
    start: int


def cut(
    tracks: Sequence[tuple[str, Sequence[AudioFile]]],
    sample_rate: int,
    step: int,
    samples: int,
    most: int | None = None,
) -> list[Excerpt]:
    """Excerpts at equal distances; what is left at the end of a track is not used.

    Args:
        tracks: name and files of each.
        sample_rate: Hz.
        step: samples from one excerpt to the next, so that models whose excerpts differ a little in length begin at
            the same places.
        samples: of an excerpt, at most `step`.
        most: excerpts of a track; evenly chosen among its own.

    Raises:
        ValueError: if no track is long enough for an excerpt.
    """
    excerpts = []
    for number, (name, files) in enumerate(tracks):
        length = min(file.length(sample_rate) for file in files)
        starts = range(0, length - samples + 1, step)
        if most is not None and len(starts) > most:
            starts = [starts[round((index + 0.5) * len(starts) / most - 0.5)] for index in range(most)]
        excerpts += [Excerpt(name, number, files, start) for start in starts]
    if not excerpts:
        raise ValueError(f"none of {len(tracks)} tracks lasts {samples / sample_rate:.2f} s: use shorter excerpts")
    return excerpts


def read(excerpt: Excerpt, reader: CropReader) -> Tensor:
    """The audio of an excerpt, (K, T), float32.

    Raises:
        BadAudioError: if a file cannot be read there.
    """
    return torch.from_numpy(np.stack([reader(Crop(file, excerpt.start)) for file in excerpt.files]))
