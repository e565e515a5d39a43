"""Preparing shards: decode each file of a corpus once, and training never decodes again.

Each shard is written by itself: track after track, with a line of its journal after each. A process that is killed
leaves whole tracks, which the next one verifies by their hashes and keeps, so an interrupted preparation ends in the
same bytes as any other. The last step of a shard, which finishes it, gives its journal its name.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datamodules.inspection import decode_blocks, mono_blocks, resampled
from datamodules.planning import PARTIAL, Plan, Planned, write_once
from datamodules.processes import in_processes
from datamodules.rejection import BadAudioError
from datamodules.shards import (
    FULL_SCALE,
    MANIFEST,
    PLAN,
    SAMPLE,
    SAMPLE_RATE,
    Track,
    check_sizes,
    journal_name,
    line_of,
    shard_name,
    stored_channels,
)
from datamodules.source import file_sha256, naming, true_header
from datamodules.storage import storage
from lincae.machine import file_locks

LOCK_SECONDS = 5.0  # in which the processes of a job that was killed are gone
CHUNK = 1 << 22  # bytes


def prepare(
    plan: Plan, part: int = 1, parts: int = 1, processes: int = 1, progress: Callable[[Planned], object] | None = None
) -> None:
    """Writes the shards of one part that are not finished, and the manifest once all shards of all parts are.

    Args:
        plan: what to do.
        part: 1 to `parts`: which share of the shards.
        parts: jobs that prepare the corpus, on this machine or others.
        processes: shards that are written at the same time.
        progress: told each file of these shards as it is done, or found done.

    Raises:
        OSError: if something cannot be read or written, as on a full disk. No finished track is lost.
        RuntimeError: if another process writes the same shard, a process dies, or a source changes.
        ValueError: if a finished shard is not as large as it was.
    """
    unfinished = [plan.shards[number] for number in plan.numbers(part, parts) if not plan.is_finished(number)]
    work = partial(write_shard, plan.source, plan.out, plan.header["channels"])
    with closing(in_processes(work, unfinished, processes)) as done:
        for file in done:
            if progress:
                progress(file)
    if all(plan.is_finished(number) for number in range(len(plan.shards))):
        write_manifest(plan)


def write_manifest(plan: Plan) -> None:
    """Joins the journals of all shards; an existing manifest is left alone.

    Raises:
        ValueError: if a shard is not as large as its tracks.
    """
    tracks = [track for number in range(len(plan.shards)) for track in read_journal(plan.out / journal_name(number))]
    check_sizes(plan.out, tracks, storage(str(plan.out)).sizes())
    if not (plan.out / MANIFEST).exists():
        write_once(plan.out / MANIFEST, [plan.header, *(track._asdict() for track in tracks)])


def read_journal(file: Path) -> list[Track]:
    """The tracks of a finished shard."""
    return [Track(**json.loads(line)) for line in file.read_bytes().splitlines()]


def write_shard(source: str, out: Path, channels: int, files: Sequence[Planned]) -> Iterator[Planned]:
    """Writes a shard and its journal, from where an earlier process was stopped, and yields each file that is done.

    Args:
        source: folder of the corpus.
        out: folder of the shards.
        channels: that are stored of a track at most.
        files: of this shard, in the order in which they are written.
    """
    number = files[0].shard
    shard, journal = out / shard_name(number), out / journal_name(number)
    unfinished = journal.with_name(journal.name + PARTIAL)
    with locked(out / PLAN, number):
        if journal.exists():  # another job has just finished it
            yield from files
            return
        with naming(shard), open(unfinished, "a+b") as lines, open(shard, "a+b") as samples:
            done = count_finished(lines, samples, files)
            yield from files[:done]
            for file in files[done:]:
                track = write_track(source, file, channels, samples)
                samples.flush()
                lines.write(line_of(track._asdict()).encode())
                lines.flush()
                yield file
            os.fsync(samples.fileno())
            os.fsync(lines.fileno())
        os.rename(unfinished, journal)


@contextmanager
def locked(plan: Path, number: int) -> Iterator[None]:
    """Keeps all other processes, on any machine, from writing a shard: its lock is the byte of its number in the plan.

    The operating system releases it when this process ends, whatever the cause.

    Raises:
        RuntimeError: if another process does not release it soon, or the system has no such locks.
    """
    fcntl, deadline = file_locks(), time.monotonic() + LOCK_SECONDS
    with plan.open("r+b") as stream:
        while True:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"another process is writing {plan.with_name(shard_name(number))}: wait for it, or give each "
                        "job a --part of its own"
                    ) from error
            time.sleep(0.1)
        yield


def count_finished(lines: BinaryIO, samples: BinaryIO, files: Sequence[Planned]) -> int:
    """How many files, from the first on, are whole in a journal and a shard, which are both cut off behind them.

    Args:
        lines: the journal. Its last line may be half, and after a power loss anything may be zeros.
        samples: the shard.
        files: that belong there.
    """
    count = kept = end = 0
    lines.seek(0)
    samples.seek(0)
    for line, file in zip(lines, files, strict=False):
        try:
            track = Track(**json.loads(line))
        except (ValueError, TypeError):
            break
        size = (track.end - track.first) * SAMPLE.itemsize
        whole = line.endswith(b"\n") and track.path == file.path
        if not whole or not (track.rejected or next_sha256(samples, size) == track.pcm_sha256):
            break
        count, kept, end = count + 1, kept + len(line), end + size
    lines.truncate(kept)
    samples.truncate(end)
    return count


def next_sha256(stream: BinaryIO, size: int) -> str:
    """The hash of the next bytes of a stream, or of all that are left."""
    digest = hashlib.sha256()
    while size > 0 and (content := stream.read(min(size, CHUNK))):
        digest.update(content)
        size -= len(content)
    return digest.hexdigest()


def write_track(source: str, file: Planned, channels: int, samples: BinaryIO) -> Track:
    """Decodes a file and appends it to a shard, unless it cannot be used.

    Args:
        source: folder of the corpus.
        file: what to decode.
        channels: that are stored at most.
        samples: the shard, open for appending.

    Raises:
        OSError: if the file cannot be read.
        RuntimeError: if it has changed since the plan was made.
    """
    location = os.path.join(source, file.path)
    if os.path.getsize(location) != file.bytes:
        raise RuntimeError(f"{location} has changed since the plan was made: prepare into a new folder")
    first = samples.seek(0, os.SEEK_END) // SAMPLE.itemsize
    track = Track(file.path, file.group, file.split, shard=file.shard, first=first, source_sha256=file_sha256(location))
    try:
        header = true_header(location, file.seconds)
        stored = stored_channels(header.channels, channels)
        track = track._replace(rate=header.rate, channels=header.channels)
        if not stored:
            return track._replace(rejected="many_channels")
        with tempfile.TemporaryFile(dir=os.path.dirname(samples.name)) as decoded:
            low = high = np.float32(0)
            for block in (
                mono_blocks(location, header, SAMPLE_RATE)
                if stored == 1
                else resampled(decode_blocks(location, header), header.rate, SAMPLE_RATE, stored)
            ):
                low, high = np.minimum(low, block.min(initial=0)), np.maximum(high, block.max(initial=0))
                decoded.write(block.tobytes())
            decoded.seek(0)
            gain = gain_of(float(low), float(high))
            pcm_sha256, values = append(decoded, gain, samples)
    except BadAudioError as error:
        file_sha256(location)  # raises an OSError if it is the disk that is broken
        return track._replace(rejected=error.reason)
    return track._replace(frames=values // stored, gain=gain, pcm_sha256=pcm_sha256, stored=stored)


def gain_of(low: float, high: float) -> float:
    """What samples in [low, high] are scaled by, so that none is rounded by more than half a step: 1 if they fit.

    Raises:
        BadAudioError: `not_finite` if resampling or adding channels has gone beyond float32.
    """
    if not math.isfinite(high - low):
        raise BadAudioError("not_finite")
    if round(low * FULL_SCALE) >= -FULL_SCALE and round(high * FULL_SCALE) < FULL_SCALE:
        return 1.0
    return (1 - 1 / FULL_SCALE) / max(-low, high)


def append(decoded: BinaryIO, gain: float, samples: BinaryIO) -> tuple[str, int]:
    """Appends samples (float32, full scale 1) as 16-bit integers.

    Returns:
        Their SHA-256, and how many they are.
    """
    digest, values = hashlib.sha256(), 0
    while content := decoded.read(CHUNK):
        scaled = np.rint(np.frombuffer(content, np.float32) * np.float32(gain * FULL_SCALE))
        pcm = scaled.astype(SAMPLE).tobytes()
        samples.write(pcm)
        digest.update(pcm)
        values += len(scaled)
    return digest.hexdigest(), values
