"""The index of a corpus: every file that training may use, and why others are left out. Made once, at the start."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from datamodules.corpus import Corpus
from datamodules.headers import read_headers
from datamodules.ranks import warn
from datamodules.rejection import BAD, QUARANTINE, listed, read_quarantine
from datamodules.shards import SAMPLE_RATE, is_prepared, read_manifest, shard_name
from datamodules.source import tolerance
from datamodules.storage import is_url
from datamodules.walking import EXTENSIONS


class AudioFile(NamedTuple):
    """A usable file: audio by itself on disk, or a stretch of a shard.

    Attributes:
        corpus: name of its corpus.
        root: folder of the corpus, or folder or URL of its shards.
        path: of the audio, relative to the corpus' own folder.
        frames: length at its own rate.
        rate: Hz.
        channels: 1 or more.
        group: artist, singer, reader; empty if the file is a group of its own.
        split: `train`, `validation` or `test` where the corpus says so.
        content: what changes with the samples: the bytes of a file, a hash and a gain in a shard.
        shard: name of the shard; empty for a file.
        first: value of the shard at which the audio begins.
        gain: what the samples of the shard were scaled by.
        averaged: whether the shard holds the mean of several channels.
        identity: the same for the same audio under any path or name of a corpus: of the file, or the hash in a shard.
    """

    corpus: str
    root: str
    path: str
    frames: int
    rate: int
    channels: int
    group: str = ""
    split: str = ""
    content: str = ""
    shard: str = ""
    first: int = 0
    gain: float = 1.0
    averaged: bool = False
    identity: str = ""

    @property
    def location(self) -> str:
        return os.path.join(self.root, self.path)

    def length(self, sample_rate: int) -> int:
        """Samples at another rate, rounded down."""
        return self.frames * sample_rate // self.rate


@dataclass(frozen=True)
class Demands:
    """What files must meet.

    Args:
        sample_rate: of the crops, Hz.
        samples: of a crop; shorter files are unsuitable.
        min_sample_rate: files below it are unsuitable, Hz.
        max_channels: files with more are unsuitable.
        max_bad: share of broken files that is tolerated; one file always is.
    """

    sample_rate: int
    samples: int
    min_sample_rate: int = 0
    max_channels: int = 2
    max_bad: float = 0.01

    def reason(self, length: int, rate: int, channels: int) -> str | None:
        """Why a file is unsuitable; None if it is not.

        Args:
            length: samples at the rate of the crops.
            rate: of the audio file, also of one that shards were made from, Hz.
            channels: likewise.
        """
        if rate < self.min_sample_rate:
            return "low_rate"
        if channels > self.max_channels:
            return "many_channels"
        return "too_short" if length < self.samples else None


@dataclass
class CorpusIndex:
    """The usable files of a corpus, and what was rejected.

    Attributes:
        name, corpus: what was scanned.
        files: sorted by path.
        found: number of audio files, usable or not.
        max_bad: share of broken files that is tolerated; one file always is.
        unused: the files that the scan left out, and the reason of each.
        left_out: how many these are, by reason.
        crops: count of the reasons why crops were replaced in training.
        broken: the broken files that training met, and the reason of each.
    """

    name: str
    corpus: Corpus
    files: list[AudioFile]
    found: int
    max_bad: float
    unused: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    crops: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The corpus, for messages."""
        return f"corpus {self.name!r} ({self.corpus.path})"

    def reject_crop(self, path: str, reason: str) -> None:
        """Counts a crop that training could not use; warns when its file turns out to be broken.

        Raises:
            ValueError: if too many files are broken.
        """
        self.crops[reason] += 1
        if reason in BAD and path not in self.broken:
            self.broken[path] = reason
            warn(f"{self.where}: {path} is {reason}, other crops take its place")
            self.check()

    def check(self) -> None:
        """Raises ValueError if the share of broken files is not tolerated."""
        bad = {path: reason for path, reason in self.unused.items() if reason in BAD} | self.broken
        if len(bad) > max(1, self.max_bad * self.found):
            raise ValueError(
                f"{self.where}: {len(bad)} of {self.found} files are broken: {listed(bad)}. Replace or delete them, "
                f"write them on a quarantine list with `lincae data check {self.corpus.path}`, or tolerate more "
                "in training with --data.max_bad"
            )


@contextmanager
def uncollected() -> Iterator[None]:
    """Makes objects that all stay, by the million, without looking for garbage among them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@uncollected()
def scan(name: str, corpus: Corpus, demands: Demands) -> CorpusIndex:
    """The index of a corpus of audio files, from their headers, or of shards, from their manifest.

    Args:
        name: of the corpus, for messages and the sampling rule.
        corpus: where to look.
        demands: what files must meet.

    Raises:
        ValueError: if the corpus is missing, has no usable file or too many broken ones.
        OSError: if the operating system refuses to read a folder or a file.
    """
    quarantined = quarantine_of(corpus)
    try:
        candidates, unused = of_shards(name, corpus) if is_prepared(corpus) else of_files(name, corpus)
    except ValueError as error:
        raise ValueError(f"corpus {name!r}: {error}") from error
    index = CorpusIndex(name, corpus, [], len(candidates) + len(unused), demands.max_bad)
    for file, rate, channels in candidates:
        length = file.length(demands.sample_rate)
        reason = "quarantined" if file.path in quarantined else demands.reason(length, rate, channels)
        if reason is None:
            index.files.append(file)
        else:
            unused[file.path] = reason
    index.unused = {path: "quarantined" if path in quarantined else reason for path, reason in sorted(unused.items())}
    index.left_out = Counter(index.unused.values())
    report(index, demands)
    return index


Candidate = tuple[AudioFile, int, int]  # the file, and its rate and channels before it was prepared


def of_files(name: str, corpus: Corpus) -> tuple[list[Candidate], dict[str, str]]:
    """The files of a folder, and the reasons of those whose headers say that they are broken."""
    candidates: list[Candidate] = []
    unused = {}
    entries = corpus.files()
    for entry, header in zip(entries, read_headers(corpus.path, entries), strict=True):
        if isinstance(header, str):
            unused[entry.path] = header
        elif entry.seconds is not None and abs(header.frames / header.rate - entry.seconds) > tolerance(entry.seconds):
            unused[entry.path] = "wrong_length"
        else:
            file = AudioFile(
                name,
                corpus.path,
                entry.path,
                header.frames,
                header.rate,
                header.channels,
                entry.group,
                entry.split,
                content=str(header.size),
                identity=entry.stamp.identity if entry.stamp else "",
            )
            candidates.append((file, header.rate, header.channels))
    return candidates, unused


def of_shards(name: str, corpus: Corpus) -> tuple[list[Candidate], dict[str, str]]:
    """The tracks of prepared shards, and the reasons of the sources that were left out."""
    candidates: list[Candidate] = []
    unused = {}
    for track in read_manifest(corpus.path).tracks:
        if not corpus.keeps(track.split):
            continue
        if track.rejected:
            unused[track.path] = track.rejected
            continue
        file = AudioFile(
            name,
            corpus.path,
            track.path,
            track.frames,
            SAMPLE_RATE,
            track.stored,
            track.group,
            track.split,
            content=track.pcm_sha256 if track.gain == 1 else f"{track.pcm_sha256} / {track.gain}",
            shard=shard_name(track.shard),
            first=track.first,
            gain=track.gain,
            averaged=track.stored < track.channels,
            identity=track.pcm_sha256,
        )
        candidates.append((file, track.rate, track.channels))
    return candidates, unused


def quarantine_of(corpus: Corpus) -> Mapping[str, str]:
    """The quarantine list of a corpus, from where it names one, or from its folder.

    Raises:
        ValueError: if the list that the corpus names is missing, or is none.
    """
    if corpus.quarantine is not None:
        file = Path(corpus.quarantine)
        if not file.is_file():
            raise ValueError(f"the quarantine list {file} is missing: correct `quarantine` of corpus {corpus.path}")
        return read_quarantine(file)
    file = Path(corpus.path, QUARANTINE)
    return read_quarantine(file) if not is_url(corpus.path) and file.is_file() else {}


def report(index: CorpusIndex, demands: Demands) -> None:
    """Warns of the files that are not used; raises ValueError if none is left or too many are broken."""
    if not index.files:
        raise ValueError(
            f"{index.where}: none of {index.found} audio files can be used. {listed(index.unused)}. A crop is "
            f"{demands.samples / demands.sample_rate:.2f} s long, the lowest rate {demands.min_sample_rate} Hz, "
            f"{demands.max_channels} channels are allowed, and formats are {' '.join(sorted(EXTENSIONS))}. Correct the "
            "path, or the settings that the files do not meet"
        )
    index.check()
    if index.unused:
        warn(f"{index.where}: {len(index.unused)} of {index.found} audio files are not used: {listed(index.unused)}")
    low = [file.rate for file in index.files if file.rate < demands.sample_rate]
    if low:
        warn(
            f"{index.where}: {len(low)} of {len(index.files)} files are upsampled, from {min(low)} Hz at the lowest: "
            "their upper band is empty"
        )


def hold_out(
    files: Sequence[AudioFile], share: float, samples: int, sample_rate: int
) -> tuple[list[AudioFile], list[AudioFile]]:
    """Divides the files of a corpus into those for training and those for validation.

    A corpus with parts of its own keeps them; its test part is in neither. Otherwise whole groups of files of no part
    are held out, chosen by a hash of their names, so that they stay the same as a corpus grows.

    Args:
        files: of one corpus.
        share: expected share of the groups, in (0, 1). At least one group is chosen.
        samples, sample_rate: shortest length that validation needs.

    Returns:
        Files for training and for validation, in the order given.

    Raises:
        ValueError: unless there is a file that is long enough to validate and another group is left for training.
    """
    own = [file for file in files if file.split == "validation"]
    files = training_part(files)
    if own:
        return files, long_enough(own, samples, sample_rate)
    free = [file for file in long_enough(files, samples, sample_rate) if not file.split]
    places = {group_of(file): group_hash(group_of(file)) for file in free}
    groups = {group_of(file) for file in files}
    if not places or len(groups) < 2:
        where = f"corpus {files[0].corpus!r} ({files[0].root})" if files else "a corpus"
        raise ValueError(
            f"{where} has too few files to hold any out for validation: {len(files)} of {len(groups)} groups, of which "
            f"{len(places)} have one that lasts {samples / sample_rate:.2f} s. Add files, or give "
            "--data.validation=FOLDER"
        )
    first = min(places, key=places.__getitem__)
    held = {group for group in places if places[group] < share or group == first}
    if held == groups:
        held = {first}
    return (
        [file for file in files if group_of(file) not in held],
        long_enough([file for file in files if group_of(file) in held], samples, sample_rate),
    )


def training_part(files: Iterable[AudioFile]) -> list[AudioFile]:
    """The files of a corpus that may be trained on: all that are not set aside for validation or testing."""
    return [file for file in files if file.split in ("", "train")]


def validation_part(files: Sequence[AudioFile]) -> list[AudioFile]:
    """The files of a corpus to validate on: its part for that if it has one, else all."""
    return [file for file in files if file.split == "validation"] or list(files)


def long_enough(files: Iterable[AudioFile], samples: int, sample_rate: int) -> list[AudioFile]:
    """The files that last a number of samples at a rate, or longer."""
    return [file for file in files if file.length(sample_rate) >= samples]


def group_of(file: AudioFile) -> str:
    """The name of a file's group; a file without one is its own."""
    return file.group or file.path


def group_hash(group: str) -> float:
    """A number in [0, 1) that depends on a name alone."""
    return int.from_bytes(blake2b(os.fsencode(group), digest_size=8).digest(), "big") / 2**64
