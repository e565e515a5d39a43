"""Validation sets: the same crops in every validation, spread evenly over files and over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.index import AudioFile
from datamodules.ranks import warn
from datamodules.reader import Crop, CropReader, rms
from datamodules.rejection import BadAudioError

PLACES = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 3 / 8, 5 / 8, 7 / 8)
"""Where a crop is looked for in its share of a file, in this order."""


@dataclass(frozen=True)
class EvenCrops:
    """A number of crops, each (K, T), from files that belong together.

    With fewer sets of files than crops, each set is cut into equal shares, one for each crop; with more, some sets are
    passed over. In its share a crop goes where all K files are active, or else where most of them are.

    Attributes:
        sets: K files that are cut at the same place: one clip, or the stems of a track.
        count: number of crops.
        reader: place -> waveform (T,).
        silence: rms from which a file is active at a place.
    """

    sets: Sequence[Sequence[AudioFile]]
    count: int
    reader: CropReader
    silence: float

    def __len__(self) -> int:
        return self.count

    def set_of(self, index: int) -> int:
        """Number of the set that crop `index` is from."""
        return index * len(self.sets) // self.count

    def __getitem__(self, index: int) -> Tensor:
        """Crop `index`, (K, T), float32.

        Raises:
            RuntimeError: if the files cannot be read.
        """
        number = self.set_of(index)
        first, end = (-(-n * self.count // len(self.sets)) for n in (number, number + 1))
        files = self.sets[number]
        room = min(file.length(self.reader.sample_rate) for file in files) - self.reader.samples + 1
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

    def readable(self) -> EvenCrops:
        """The same from the sets that can be read, after a warning of each that cannot.

        Reading everything once, before a training, tells what would else be found after an epoch.

        Raises:
            RuntimeError: if nothing can be read.
        """
        broken = {}
        for index in range(self.count):
            try:
                self[index]
            except RuntimeError as error:
                broken[self.set_of(index)] = error
        if not broken:
            return self
        if len(broken) == len(self.sets):
            raise broken[0]
        for error in broken.values():
            warn(f"{error}. Other validation audio takes its place")
        return replace(self, sets=[files for number, files in enumerate(self.sets) if number not in broken]).readable()


class ClipDataset(Dataset):
    """Clips {`audio` (T,), `other` (T,), `index`}, from crops of one row.

    `other` is the clip before it in the set, for the first one the last, whichever batch and process it comes to. A set
    of one clip has none.
    """

    def __init__(self, crops: EvenCrops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> dict[str, Any]:
        other = {"other": self.crops[(index - 1) % len(self)][0]} if len(self) > 1 else {}
        return {"audio": self.crops[index][0], "index": index, **other}


class TrackDataset(Dataset):
    """Tracks {`stems` (K, T), `index`}, from crops of K rows, or of `parts` crops that lie far apart."""

    def __init__(self, crops: EvenCrops, parts: int = 1) -> None:
        self.crops, self.parts = crops, parts

    def __len__(self) -> int:
        return len(self.crops) // self.parts

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            "stems": torch.cat([self.crops[part * len(self) + index] for part in range(self.parts)]),
            "index": index,
        }


def stems_of_tracks(files: Sequence[AudioFile]) -> tuple[list[str], list[list[AudioFile]]]:
    """The stems of a MUSDB layout, `<track>/<stem>.<extension>`; files named `mixture` are left out.

    Args:
        files: sorted by path.

    Returns:
        The names of the stems, and their files for each track.

    Raises:
        ValueError: if there is no stem, or tracks have different ones.
    """
    tracks: dict[str, dict[str, AudioFile]] = {}
    for file in files:
        track, name = os.path.split(file.path)
        stem = os.path.splitext(name)[0]
        if stem != "mixture":
            tracks.setdefault(track, {})[stem] = file
    if not tracks:
        raise ValueError(f"{files[0].root} has mixtures, but no stems: add <track>/<stem>.wav")
    names = list(next(iter(tracks.values())))
    for track, stems in tracks.items():
        if list(stems) != names:
            raise ValueError(
                f"track {track!r} in {files[0].root} has stems {list(stems)}, but {next(iter(tracks))!r} has {names}: "
                "all tracks need the same"
            )
    return names, [list(stems.values()) for stems in tracks.values()]
