"""The plan of a preparation: which file of a corpus goes to which shard, made before anything is decoded.

Every job of a preparation reads the same plan, so jobs on many machines need nothing else in common.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
import soxr

from datamodules.corpus import Corpus, Entry
from datamodules.headers import SizedHeader, read_headers
from datamodules.index import quarantine_of
from datamodules.shards import (
    FORMAT,
    PLAN,
    SAMPLE,
    SAMPLE_RATE,
    is_prepared,
    journal_name,
    line_of,
    parse_list,
    stored_channels,
)
from datamodules.walking import DEAD
from lincae.machine import file_locks

PARTIAL = ".partial"
"""What a file is named until it is finished."""


class Planned(NamedTuple):
    """A source file in the plan.

    Attributes:
        path, group, split, seconds: as `datamodules.corpus.Entry`.
        bytes: size of the file.
        frames: how many samples per channel it is expected to give, by its header; 0 if that cannot be read.
        shard: number of the shard that it goes to.
    """

    path: str
    group: str
    split: str
    seconds: float | None
    bytes: int
    frames: int
    shard: int

    @property
    def source(self) -> tuple[Any, ...]:
        """All that may not change until the file is prepared."""
        return self[:5]


@dataclass(frozen=True)
class Plan:
    """What is prepared.

    Attributes:
        source: folder of the corpus.
        out: folder of the shards.
        header: as in the manifest.
        files: sorted by path, so shards hold runs of them.
    """

    source: str
    out: Path
    header: dict[str, Any]
    files: list[Planned]

    @cached_property
    def shards(self) -> list[list[Planned]]:
        """The files of each shard."""
        return [list(files) for _, files in groupby(self.files, key=lambda file: file.shard)]

    def is_finished(self, number: int) -> bool:
        """Whether a shard is done."""
        return (self.out / journal_name(number)).exists()

    def numbers(self, part: int, parts: int) -> range:
        """The shards of part 1, 2, ... of `parts`."""
        return range(part - 1, len(self.shards), parts)


def make_plan(name: str, corpus: Corpus, out: Path, shard_bytes: int, channels: int = 1) -> Plan:
    """Plans shards, or reads the plan that a folder holds.

    Args:
        name: of the corpus.
        corpus: its files. Those on its quarantine list are left out.
        out: folder of the shards; made if missing.
        shard_bytes: size at which a shard is full; a track is never divided.
        channels: that are stored of a track at most; 1 for the mean of all. A file of more than 2 is left out.

    Raises:
        ValueError: if there is nothing to prepare, or the folder was planned for something else.
    """
    if is_prepared(corpus):
        raise ValueError(f"{corpus.path} is a place of shards, not of audio files: give the folder of the audio")
    quarantined = quarantine_of(corpus)
    entries = [entry for entry in corpus.files() if entry.stamp != DEAD or entry.path not in quarantined]
    if dead := [entry.path for entry in entries if entry.stamp == DEAD]:
        raise ValueError(
            f"{corpus.path}: {len(dead)} links, {dead[0]} first, lead to no file: bring the files back, remove the "
            f"links, or put them on the quarantine list with `lincae data check {corpus.path}`"
        )
    wanted = [entry for entry in entries if entry.path not in quarantined]
    if not wanted:
        listed = f" but {len(entries)} on its quarantine list" if entries else ""
        raise ValueError(f"corpus {name!r} ({corpus.path}) has no audio files{listed}: correct the path")
    if out.exists() and os.path.samefile(out, corpus.path):
        raise ValueError(f"{corpus.path} would hold its own shards: prepare into another folder")
    settings = settings_of(name, corpus, shard_bytes, channels)
    file = out / PLAN
    if not file.exists():
        refuse_shards(out)
        files = assign_shards(corpus.path, wanted, shard_bytes, channels)
        out.mkdir(parents=True, exist_ok=True)
        header = {**settings, "shards": files[-1].shard + 1, "files": len(files)}
        write_once(file, [header, *(item._asdict() for item in files)])
    plan = Plan(corpus.path, out, *parse_list(file.read_bytes(), Planned, str(file)))
    check_settings(plan, settings)
    check_unchanged(plan, entries, quarantined)
    return plan


def settings_of(name: str, corpus: Corpus, shard_bytes: int, channels: int) -> dict[str, Any]:
    """What all shards of a folder have in common: the beginning of the header of plans and manifests."""
    return {
        "format": FORMAT,
        "corpus": name,
        "licence": corpus.licence,
        "sample_rate": SAMPLE_RATE,
        "channels": channels,
        "shard_bytes": shard_bytes,
        "decoder": f"libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__libsoxr_version__}",
    }


def assign_shards(source: str, entries: Sequence[Entry], shard_bytes: int, channels: int) -> list[Planned]:
    """Fills one shard after the other, by the lengths that headers tell; a file that has none takes no room."""
    planned, shard, filled = [], 0, 0
    for entry, header in zip(entries, read_headers(source, entries), strict=True):
        frames = size = 0
        if isinstance(header, SizedHeader):
            frames = header.frames * SAMPLE_RATE // header.rate
            size = frames * stored_channels(header.channels, channels) * SAMPLE.itemsize
        if filled and filled + size > shard_bytes:
            shard, filled = shard + 1, 0
        filled += size
        planned.append(Planned(*described(entry), frames, shard))
    return planned


def described(entry: Entry) -> tuple[str, str, str, float | None, int]:
    """All of an entry that may not change until the file is prepared, as `Planned.source`."""
    assert entry.stamp is not None
    return entry.path, entry.group, entry.split, entry.seconds, entry.stamp.size


def refuse_shards(out: Path) -> None:
    """Raises ValueError if a folder has shards but no plan: they would be taken for those of a new one."""
    shards = sorted([*out.glob("*.pcm"), *out.glob("[0-9]*.jsonl*")])
    if shards and not (out / PLAN).exists():  # another job may have made it by now, and begun
        raise ValueError(f"{out} has no {PLAN} but holds {shards[0].name}: prepare into a new folder")


def check_settings(plan: Plan, settings: Mapping[str, Any]) -> None:
    """Raises ValueError if shards were planned with other settings."""
    for key, value in settings.items():
        if plan.header.get(key) != value:
            raise ValueError(
                f"{plan.out / PLAN} was made for {key} {plan.header.get(key)!r}, not {value!r}: prepare into a new "
                f"folder, or go on with the former {key}"
            )


def check_unchanged(plan: Plan, entries: Iterable[Entry], quarantined: Container[str]) -> None:
    """Raises ValueError if files are new, gone, changed or described otherwise since the plan was made.

    Args:
        plan: what was planned.
        entries: the files of the corpus, all of them.
        quarantined: paths that need not be in the plan. They may be: it was made first.
    """
    before = {file.path: file.source for file in plan.files}
    after = {entry.path: described(entry) for entry in entries}
    differing = sorted(
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path) and (path in before or path not in quarantined)
    )
    if differing:
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise ValueError(
            f"{plan.source}: {differing[0]}{more}: new, gone or changed since {plan.out / PLAN} was made. Prepare into "
            "a new folder"
        )


def write_once(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Writes lines of JSON, all or nothing, unless another job has done so or is at it."""
    fcntl = file_locks()
    partial = file.with_name(file.name + PARTIAL)
    with partial.open("a") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX)
        if file.exists():
            partial.unlink(missing_ok=True)
            return
        stream.truncate(0)  # what a process that was killed has left
        stream.writelines(line_of(line) for line in lines)
        stream.flush()
        os.fsync(stream.fileno())
        os.rename(partial, file)
