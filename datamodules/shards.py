"""Prepared shards: the audio of a corpus as 16-bit samples, one track after the other, and a manifest.

A folder (or the same below a URL) holds

    plan.jsonl        what is to be prepared: a header, then one line for each source file
    00000.pcm, ...    samples of whole tracks: 16 bits, little-endian; channels alternate in a track that has several
    00000.jsonl, ...  one line for each track of that shard; named 00000.jsonl.partial until the shard is finished
    manifest.jsonl    a header and all tracks, once every shard is finished: all that training reads besides samples
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from datamodules.corpus import Corpus
from datamodules.storage import Range, is_url, storage

Item = TypeVar("Item")

FORMAT = "lincae shards 2"
READABLE = ("lincae shards 1", FORMAT)  # the first holds mono tracks alone
PLAN, MANIFEST = "plan.jsonl", "manifest.jsonl"
SAMPLE_RATE = 44_100
SAMPLE = np.dtype("<i2")
FULL_SCALE = 32_768  # as soundfile scales 16-bit files
CHANNELS = (1, 2)
"""What a folder may hold at most of a track: the mean of its channels, or both of them."""


def shard_name(number: int) -> str:
    """File name of a shard's samples."""
    return f"{number:05d}.pcm"


def journal_name(number: int) -> str:
    """File name of a shard's list of tracks."""
    return f"{number:05d}.jsonl"


class Track(NamedTuple):
    """A source file in the manifest.

    Attributes:
        path: of the source, relative to its corpus.
        group, split: as `datamodules.corpus.Entry`.
        rate, channels: of the source, Hz.
        shard: number of its shard.
        first: value of the shard at which it begins.
        frames: samples per channel, at the shards' rate.
        gain: what the samples were scaled by: 1, or less where the source peaks above full scale. Readers undo it.
        source_sha256: of the source file.
        pcm_sha256: of the samples.
        rejected: why the source was left out; empty for a track. A rejected source has no samples.
        stored: channels in the shard: those of the source, or their mean.
    """

    path: str
    group: str
    split: str
    rate: int = 0
    channels: int = 0
    shard: int = 0
    first: int = 0
    frames: int = 0
    gain: float = 1.0
    source_sha256: str = ""
    pcm_sha256: str = ""
    rejected: str = ""
    stored: int = 1

    @property
    def end(self) -> int:
        """Value of the shard behind its last."""
        return self.first + self.frames * self.stored


class Manifest(NamedTuple):
    """What a folder of shards holds.

    Attributes:
        header: `format`, `corpus`, `licence`, `sample_rate`, `channels` (at most, of a track), `shard_bytes`,
            `decoder`, and the numbers of `shards` and `files`.
        tracks: in the order of their paths.
    """

    header: dict[str, Any]
    tracks: list[Track]


def line_of(content: Mapping[str, Any]) -> str:
    """One line of JSON, ASCII: names that are no Unicode come back as they were."""
    return json.dumps(content) + "\n"


def parse_list(content: bytes, item: Callable[..., Item], name: str) -> tuple[dict[str, Any], list[Item]]:
    """The header and the items of a plan or a manifest.

    Args:
        content: lines of JSON.
        item: made of each line but the first.
        name: of the file, for messages.

    Raises:
        ValueError: if lines are missing or damaged, or the format is another one.
    """
    try:
        header, *items = [json.loads(line) for line in content.splitlines()]
        parsed = dict(header), [item(**fields) for fields in items]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is damaged ({error}): copy the folder again, or prepare into a new one") from error
    if header.get("format") not in READABLE:
        raise ValueError(
            f"{name} is in format {header.get('format')!r}, this version reads {FORMAT!r}: prepare the corpus again"
        )
    if header.get("files") != len(items):
        raise ValueError(
            f"{name} is damaged (it lists {len(items)} of {header.get('files')} files): copy the folder again, or "
            "prepare into a new one"
        )
    return parsed


def is_prepared(corpus: Corpus) -> bool:
    """Whether the corpus' path is one of shards, finished or not, rather than of audio files."""
    return is_url(corpus.path) or any(os.path.isfile(os.path.join(corpus.path, name)) for name in (PLAN, MANIFEST))


def read_manifest(root: str) -> Manifest:
    """The manifest of a finished folder or URL of shards, checked against the objects that are there.

    Raises:
        ValueError: if it is unfinished, damaged, of another format, or shards are missing or of a wrong size.
    """
    sizes = storage(root).sizes()
    if MANIFEST not in sizes:
        hint = "it is unfinished: run the same `lincae data prepare` again" if PLAN in sizes else "there are no shards"
        raise ValueError(f"{root} has no {MANIFEST}: {hint}. Shards are made by `lincae data prepare SOURCE -o FOLDER`")
    manifest = Manifest(*parse_list(storage(root).read(MANIFEST), Track, f"{root}/{MANIFEST}"))
    check_sizes(root, manifest.tracks, sizes)
    return manifest


def check_sizes(root: str | os.PathLike, tracks: Iterable[Track], sizes: Mapping[str, int]) -> None:
    """Raises ValueError if a shard is not as large as its tracks.

    Args:
        root: folder or URL of the shards.
        tracks: of all shards.
        sizes: bytes of each object.
    """
    expected: Counter[int] = Counter()
    for track in tracks:
        expected[track.shard] += (track.end - track.first) * SAMPLE.itemsize
    for number, size in sorted(expected.items()):
        found = sizes.get(shard_name(number), 0)
        if found != size:
            raise ValueError(
                f"{root}/{shard_name(number)} holds {found} bytes of {size}: copy it again, or delete it and "
                f"{journal_name(number)} and run the same `lincae data prepare` again"
            )


def stored_channels(found: int, most: int) -> int:
    """How many channels of a source with so many a shard holds: all of them up to `most`, none if there are more.

    Where one is the most, it is the mean of all.
    """
    return 1 if most == 1 else found * (found <= most)


class Stretch(NamedTuple):
    """Values [first, last) of a shard."""

    root: str
    shard: str
    first: int
    last: int


def read_samples(stretches: Sequence[Stretch]) -> list[np.ndarray]:
    """The values of each stretch, (n,), int16, without a copy where they lie in memory.

    Raises:
        RuntimeError: if an object store does not answer.
    """
    samples: list[np.ndarray] = [np.empty(0, SAMPLE)] * len(stretches)
    for root in {stretch.root for stretch in stretches}:
        numbers = [number for number, stretch in enumerate(stretches) if stretch.root == root]
        ranges = [
            Range(stretch.shard, stretch.first * SAMPLE.itemsize, stretch.last * SAMPLE.itemsize)
            for stretch in (stretches[number] for number in numbers)
        ]
        for number, content in zip(numbers, storage(root).ranges(ranges), strict=True):
            samples[number] = np.frombuffer(content, SAMPLE)
    return samples
