"""Validation sets: the same crops in every validation, spread evenly over files and over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.corpus import AudioFile
from datamodules.reader import BadAudioError, Crop, rms

PLACES = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 3 / 8, 5 / 8, 7 / 8)
"""Where a crop is looked for in its share of a file, in this order."""


@dataclass(frozen=True)
class EvenCrops(Sequence):
    """A number of crops, each (K, T), from files that belong together.

    With fewer sets of files than crops, each set is cut into equal shares, one for each crop; with more, some sets are
    passed over. In its share a crop goes where all K files are active, or else where most of them are.

    Attributes:
        sets: K files that are cut at the same place: one clip, or the stems of a track.
        count: number of crops.
        reader: place -> waveform (T,).
        samples, sample_rate: of the crops.
        silence: rms from which a file is active at a place.
    """

    sets: Sequence[Sequence[AudioFile]]
    count: int
    reader: Callable[[Crop], np.ndarray]
    samples: int
    sample_rate: int
    silence: float

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        """Crop `index`, (K, T), float32.

        Raises:
            RuntimeError: if the files cannot be read.
        """
        if not 0 <= index < self.count:
            raise IndexError(index)
        number = index * len(self.sets) // self.count
        first, end = (-(-n * self.count // len(self.sets)) for n in (number, number + 1))
        files = self.sets[number]
        room = min(file.length(self.sample_rate) for file in files) - self.samples + 1
        best, most = None, -1
        for place in PLACES:
            start = int((index - first + place) / (end - first) * room)
            try:
                rows = np.stack([self.reader(Crop(file, start)) for file in files])
            except BadAudioError as error:
                reason = error.reason
                continue
            active = sum(rms(row) >= self.silence for row in rows)
            if active > most:
                best, most = rows, active
            if active == len(files):
                break
        if best is None:
            raise RuntimeError(f"validation audio {files[0].location} is {reason}: replace or delete it")
        return torch.from_numpy(best)


class ClipDataset(Dataset):
    """Clips {`audio` (T,), `index`}, from crops of one row."""

    def __init__(self, crops: EvenCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"audio": self.crops[index][0], "index": index}


class TrackDataset(Dataset):
    """Tracks {`stems` (K, T), `index`}, from crops of K rows, or of `parts` crops that lie far apart."""

    def __init__(self, crops: EvenCrops, parts: int = 1) -> None:
        self.crops, self.parts = crops, parts

    def __len__(self) -> int:
        return len(self.crops) // self.parts

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"stems": torch.cat([self.crops[part * len(self) + index] for part in range(self.parts)]), "index": index}


def track_stems(files: Sequence[AudioFile]) -> dict[str, dict[str, AudioFile]]:
    """The stems of each track of a MUSDB layout, `<track>/<stem>.<extension>`; files named `mixture` are left out.

    Returns:
        Track -> stem -> file, all tracks with the same stems in the same order.

    Raises:
        ValueError: if tracks have different stems.
    """
    tracks: dict[str, dict[str, AudioFile]] = {}
    for file in files:
        track, name = file.path.rsplit("/", 1)
        stem = name.rsplit(".", 1)[0]
        if stem != "mixture":
            tracks.setdefault(track, {})[stem] = file
    first, *others = tracks
    for track in others:
        if tracks[track].keys() != tracks[first].keys():
            raise ValueError(
                f"tracks in {files[0].root} have different stems, {first!r} has {list(tracks[first])} and {track!r} "
                f"has {list(tracks[track])}: complete them, remove one, or name the files alike"
            )
    return tracks
