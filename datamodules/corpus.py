"""Which audio files are read: folders, scanned once, and the files that cannot be used."""

from __future__ import annotations

import glob
import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import soundfile
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from tqdm import tqdm

EXTENSIONS = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
EXTENSIONS -= {".raw"}  # headerless: neither rate nor channels are known

BAD = {
    "unreadable": "cannot be decoded",
    "truncated": "hold less audio than their headers say",
    "not_finite": "hold NaN or infinite samples",
}
"""Reasons that speak of broken files; too many of them stop a training."""

UNSUITABLE = {"too_short": "are shorter than a crop", "low_rate": "are below the lowest sample rate allowed"}
"""Reasons that leave a sound file unused because the settings ask for other files."""


@dataclass
class Corpus:
    """A folder of audio, and its share in training.

    Args:
        path: the folder; a leading `~` is the home folder.
        weight: crops are drawn from a corpus with probability weight / sum of all weights. Must be positive.
        patterns: which files, relative to the folder. `**` stands for any depth; hidden files are never matched.
    """

    path: str
    weight: float = 1.0
    patterns: list[str] = field(default_factory=lambda: ["**/*"])

    def __post_init__(self) -> None:
        self.path = os.path.expanduser(self.path)
        if not self.weight > 0:
            raise ValueError(f"corpus {self.path} has weight {self.weight}: give it a positive one, or leave it out")


class AudioFile(NamedTuple):
    """A usable file.

    Attributes:
        corpus: name of its corpus.
        root: folder of the corpus.
        path: relative to that folder.
        frames: length at its own rate.
        rate: Hz.
        channels: 1 or more.
    """

    corpus: str
    root: str
    path: str
    frames: int
    rate: int
    channels: int

    @property
    def location(self) -> str:
        return os.path.join(self.root, self.path)

    def length(self, sample_rate: int) -> int:
        """Samples at another rate, rounded down."""
        return self.frames * sample_rate // self.rate


@dataclass
class CorpusIndex:
    """The usable files of a corpus, and what was rejected.

    Attributes:
        name, corpus: what was scanned.
        files: sorted by path.
        found: number of audio files, usable or not.
        max_bad: share of broken files that is tolerated; one file always is.
        rejected: count of each reason: files in the scan, crops in training.
        bad: the broken files and their reasons.
    """

    name: str
    corpus: Corpus
    files: list[AudioFile]
    found: int
    max_bad: float
    rejected: Counter[str] = field(default_factory=Counter)
    bad: dict[str, str] = field(default_factory=dict)

    def reject_crop(self, path: str, reason: str) -> None:
        """Counts a crop that training could not use; warns when its file turns out to be broken.

        Raises:
            ValueError: if too many files are broken.
        """
        self.rejected[reason] += 1
        if reason in BAD and path not in self.bad:
            self.bad[path] = reason
            # on every process, since each reads other crops
            warnings.warn(f"corpus {self.name!r}: {path} is {reason}, other crops take its place", stacklevel=2)
            self.check()

    def check(self) -> None:
        """Raises ValueError if the share of broken files is not tolerated."""
        if len(self.bad) > max(1, self.max_bad * self.found):
            raise ValueError(
                f"corpus {self.name!r} ({self.corpus.path}): {len(self.bad)} of {self.found} files are broken: "
                f"{listed(self.bad)}. Replace or delete them, or tolerate more with --data.max_bad"
            )


def scan(
    name: str, corpus: Corpus, sample_rate: int, samples: int, min_sample_rate: int = 0, max_bad: float = 0.01
) -> CorpusIndex:
    """Reads the headers of all files of a corpus.

    Args:
        name: of the corpus, for messages.
        corpus: where to look.
        sample_rate: of the crops, Hz.
        samples: of a crop; shorter files are unsuitable.
        min_sample_rate: files below it are unsuitable, Hz.
        max_bad: share of broken files that is tolerated.

    Raises:
        ValueError: if the folder is missing, holds no usable file or too many broken ones.
    """
    where = f"corpus {name!r} ({corpus.path})"
    if not os.path.isdir(corpus.path):
        raise ValueError(f"{where}: no such folder. Correct the path in --data")
    paths = audio_paths(corpus)
    index = CorpusIndex(name, corpus, [], len(paths), max_bad)
    unused = {}
    for path in tqdm(paths, f"scanning {corpus.path}", disable=rank_zero_only.rank != 0 or len(paths) < 1000):
        try:
            info = soundfile.info(os.path.join(corpus.path, path))
        except soundfile.SoundFileError:
            unused[path] = "unreadable"
            continue
        file = AudioFile(name, corpus.path, path, info.frames, info.samplerate, info.channels)
        if file.rate < min_sample_rate:
            unused[path] = "low_rate"
        elif file.length(sample_rate) < samples:
            unused[path] = "too_short"
        else:
            index.files.append(file)
    index.rejected.update(unused.values())
    index.bad = {path: reason for path, reason in unused.items() if reason in BAD}
    if not index.files:
        raise ValueError(
            f"{where}: none of {len(paths)} audio files can be used. {listed(unused)}. A crop is "
            f"{samples / sample_rate:.2f} s long; formats are {' '.join(sorted(EXTENSIONS))}; patterns are "
            f"{corpus.patterns}. Correct the path, or the settings that the files do not meet"
        )
    index.check()
    if unused:
        rank_zero_warn(f"{where}: {len(unused)} of {len(paths)} audio files are not used: {listed(unused)}")
    low = [file.rate for file in index.files if file.rate < sample_rate]
    if low:
        rank_zero_warn(
            f"{where}: {len(low)} of {len(index.files)} files are upsampled, from {min(low)} Hz at the lowest: their "
            f"upper band is empty. --data.min_sample_rate={sample_rate} leaves them out"
        )
    return index


def audio_paths(corpus: Corpus) -> list[str]:
    """Relative paths of the files that match the patterns and have an audio extension, sorted."""
    matches = {
        path for pattern in corpus.patterns for path in glob.iglob(pattern, root_dir=corpus.path, recursive=True)
    }
    return sorted(
        path
        for path in matches
        if os.path.splitext(path)[1].lower() in EXTENSIONS and os.path.isfile(os.path.join(corpus.path, path))
    )


def listed(unused: dict[str, str], names: int = 5) -> str:
    """Counts of the reasons, each with the first few file names."""
    parts = []
    for reason, description in (BAD | UNSUITABLE).items():
        paths = [path for path, why in unused.items() if why == reason]
        if paths:
            more = f" and {len(paths) - names} more" if len(paths) > names else ""
            parts.append(f"{len(paths)} {description} ({', '.join(paths[:names])}{more})")
    return "; ".join(parts)


def hold_out(files: Iterable[AudioFile], share: float, samples: int, sample_rate: int) -> list[AudioFile]:
    """Whole files for validation, chosen by a hash of their paths, so that they stay the same as a corpus grows.

    Args:
        files: of one corpus.
        share: expected share of the files, in (0, 1). At least one file is chosen.
        samples, sample_rate: shortest length that validation needs.

    Returns:
        Files, sorted as given.

    Raises:
        ValueError: unless a file is long enough and another one is left for training.
    """
    files = list(files)
    places = {file: path_hash(file.path) for file in files if file.length(sample_rate) >= samples}
    if not places or len(files) < 2:
        raise ValueError(
            f"corpus {files[0].corpus!r} ({files[0].root}) has too few files to hold one out for validation: "
            f"{len(files)}, of which {len(places)} last {samples / sample_rate:.2f} s. "
            "Add files, or give --data.validation=FOLDER"
        )
    first = min(places, key=places.__getitem__)
    held = [file for file in places if places[file] < share or file is first]
    return held if len(held) < len(files) else [first]


def path_hash(path: str) -> float:
    """A number in [0, 1] that depends on a path alone."""
    return int.from_bytes(hashlib.blake2b(os.fsencode(path), digest_size=8).digest(), "big") / 2**64
