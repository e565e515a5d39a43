"""The plan of a preparation: which file of a corpus goes to which shard, made before anything is decoded.

Every job of a preparation reads the same plan, so jobs on many machines need nothing else in common.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
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
from datamodules.shards import FORMAT, PLAN, SAMPLE, SAMPLE_RATE, journal_name


class Planned(NamedTuple):
    """A source file in the plan.

    Attributes:
        path, group, split, seconds: as `datamodules.corpus.Entry`.
        bytes: size of the file.
        frames: how many samples it is expected to give, by its header; 0 if that cannot be read.
        shard: number of the shard that it goes to.
    """

    path: str
    group: str
    split: str
    seconds: float | None
    bytes: int
    frames: int
    shard: int


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


def make_plan(name: str, corpus: Corpus, out: Path, shard_bytes: int) -> Plan:
    """Plans shards, or reads the plan that a folder holds.

    Args:
        name: of the corpus.
        corpus: its files. Those on its quarantine list are left out.
        out: folder of the shards; made if missing.
        shard_bytes: size at which a shard is full; a track is never divided.

    Raises:
        ValueError: if there is nothing to prepare, or the folder was planned for something else.
    """
    quarantined = quarantine_of(corpus)
    entries = [entry for entry in corpus.entries() if entry.path not in quarantined]
    if not entries:
        raise ValueError(f"corpus {name!r} ({corpus.path}) has no audio files: correct the path")
    file = out / PLAN
    if not file.exists():
        files = assign_shards(corpus.path, entries, shard_bytes)
        out.mkdir(parents=True, exist_ok=True)
        header = plan_header(name, corpus, files[-1].shard + 1, shard_bytes)
        write_once(file, [header, *(item._asdict() for item in files)])
    header, *lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    for key, value in plan_header(name, corpus, header.get("shards", 0), shard_bytes).items():
        if header.get(key) != value:
            raise ValueError(f"{file} was made for {key} {header.get(key)!r}, not {value!r}: prepare into a new folder")
    plan = Plan(corpus.path, out, header, [Planned(**line) for line in lines])
    check_unchanged(plan, entries)
    return plan


def assign_shards(source: str, entries: Sequence[Entry], shard_bytes: int) -> list[Planned]:
    """Fills one shard after the other, by the lengths that headers tell; a file that has none takes no room."""
    planned, shard, filled = [], 0, 0
    for entry, header in zip(entries, read_headers(source, [entry.path for entry in entries]), strict=True):
        frames = header.frames * SAMPLE_RATE // header.rate if isinstance(header, SizedHeader) else 0
        size = frames * SAMPLE.itemsize
        if filled and filled + size > shard_bytes:
            shard, filled = shard + 1, 0
        filled += size
        planned.append(Planned(*entry, os.path.getsize(os.path.join(source, entry.path)), frames, shard))
    return planned


def check_unchanged(plan: Plan, entries: Sequence[Entry]) -> None:
    """Raises ValueError if files are new, gone or of another size since the plan was made."""
    before = {file.path: file.bytes for file in plan.files}
    after = {entry.path: os.path.getsize(os.path.join(plan.source, entry.path)) for entry in entries}
    differing = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if differing:
        raise ValueError(
            f"{len(differing)} files of {plan.source} are new, gone or changed since {plan.out / PLAN} was made, such "
            f"as {differing[0]}: prepare into a new folder"
        )


def plan_header(name: str, corpus: Corpus, shards: int, shard_bytes: int) -> dict[str, Any]:
    """The first line of plans and manifests."""
    return {
        "format": FORMAT,
        "corpus": name,
        "licence": corpus.licence,
        "sample_rate": SAMPLE_RATE,
        "shards": shards,
        "shard_bytes": shard_bytes,
        "decoder": f"libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__libsoxr_version__}",
    }


def write_once(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Writes lines of JSON, all or nothing. A file that is there already is left alone: another job was faster."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.") as partial:
        partial.writelines(json.dumps(line) + "\n" for line in lines)
        partial.flush()
        os.fsync(partial.fileno())
        os.chmod(partial.name, 0o644)
        with suppress(FileExistsError):
            os.link(partial.name, file)
