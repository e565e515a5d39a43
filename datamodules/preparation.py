"""Preparing shards: decode each file of a corpus once, and training never decodes again.

Each shard is written by itself: track after track, with a line of its journal after each. A process that is killed
leaves whole tracks, which the next one verifies by their hashes and keeps, so an interrupted preparation ends in the
same bytes as any other.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import BinaryIO

import numpy as np

from datamodules.index import tolerance
from datamodules.inspection import Header, mono_blocks, read_header, true_frames
from datamodules.planning import Plan, Planned, write_once
from datamodules.rejection import BadAudioError
from datamodules.shards import FULL_SCALE, MANIFEST, SAMPLE, SAMPLE_RATE, Track, journal_name, parse_tracks, shard_name

PARTIAL = ".partial"
LOCK_SECONDS = 60  # for a process whose parent was killed to notice it
CHUNK = 1 << 22  # bytes


def prepare(
    plan: Plan, part: int = 1, parts: int = 1, processes: int = 1, progress: Callable[[Track, int], None] | None = None
) -> None:
    """Writes the shards of one part that are not finished, and the manifest once all shards of all parts are.

    Args:
        plan: what to do.
        part: 1 to `parts`: which share of the shards.
        parts: jobs that prepare the corpus, on this machine or others.
        processes: shards that are written at the same time.
        progress: told each track as it is finished, or found finished, with its planned number of samples.

    Raises:
        OSError: if something cannot be written, such as on a full disk. Nothing finished is lost.
        RuntimeError: if another process writes the same shard, or a process died.
    """
    numbers = [number for number in plan.numbers(part, parts) if not plan.is_finished(number)]
    messages: SimpleQueue = get_context().SimpleQueue()
    with ProcessPoolExecutor(processes, initializer=remember, initargs=(messages, os.getpid())) as executor:
        waiting = {executor.submit(write_shard, plan.source, plan.out, n, plan.shards[n]) for n in numbers}
        try:
            while waiting or not messages.empty():
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                while not messages.empty():
                    message = messages.get()
                    if progress:
                        progress(*message)
                for future in done:
                    future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    if all(plan.is_finished(number) for number in range(len(plan.shards))):
        write_manifest(plan)


def write_manifest(plan: Plan) -> None:
    """Joins the journals of all shards."""
    if (plan.out / MANIFEST).exists():
        return
    tracks: list[Track] = []
    for number in range(len(plan.shards)):
        tracks += parse_tracks((plan.out / journal_name(number)).read_bytes().splitlines())
    write_once(plan.out / MANIFEST, [plan.header, *(track._asdict() for track in tracks)])


_messages: SimpleQueue | None = None
_parent: int | None = None


def remember(messages: SimpleQueue, parent: int) -> None:
    """Tells a process where to report, and whose child it is."""
    global _messages, _parent
    _messages, _parent = messages, parent


def write_shard(source: str, out: Path, number: int, files: Sequence[Planned]) -> None:
    """Writes one shard and its journal, from where an earlier process was stopped.

    Args:
        source: folder of the corpus.
        out: folder of the shards.
        number: of the shard.
        files: in the order in which they are written.
    """
    shard, journal = out / shard_name(number), out / journal_name(number)
    partial_shard, partial_journal = (file.with_name(file.name + PARTIAL) for file in (shard, journal))
    if shard.exists():  # stopped between the two renames below
        os.rename(shard, partial_shard)
    with open(partial_journal, "a+b") as lines, locked(lines, journal), open(partial_shard, "a+b") as samples:
        done = finished_tracks(lines, samples)
        for track, file in zip(done, files, strict=False):
            report(track, file)
        for file in files[len(done) :]:
            if _parent is not None and os.getppid() != _parent:
                raise SystemExit(f"{shard}: the process that started this one is gone")
            track = write_track(source, file, number, samples)
            samples.flush()
            lines.write(track.line().encode())
            lines.flush()
            report(track, file)
        for stream in (samples, lines):
            os.fsync(stream.fileno())
        os.rename(partial_shard, shard)
        os.rename(partial_journal, journal)


def report(track: Track, file: Planned) -> None:
    """Tells the main process of a finished track."""
    if _messages is not None:
        _messages.put((track, file.frames))


@contextmanager
def locked(stream: BinaryIO, journal: Path) -> Iterator[None]:
    """Keeps a second process from writing the same shard."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN) or time.monotonic() > deadline:
                raise RuntimeError(
                    f"another process is writing the shard of {journal}: give each its own --part, or wait for it"
                ) from error
            time.sleep(0.5)
    if journal.exists():
        raise RuntimeError(f"another process has just finished {journal}: start again for what is left")
    yield


def finished_tracks(lines: BinaryIO, samples: BinaryIO) -> list[Track]:
    """The tracks that are whole in a journal and a shard, which are both cut off behind them."""
    tracks: list[Track] = []
    kept = end = 0
    lines.seek(0)
    for line in lines:
        if not line.endswith(b"\n"):
            break
        (track,) = parse_tracks([line])
        samples.seek(end)
        size = track.frames * SAMPLE.itemsize
        if not track.rejected and sha256(samples, size) != track.pcm_sha256:
            break
        tracks.append(track)
        kept, end = kept + len(line), end + size
    lines.truncate(kept)
    samples.truncate(end)
    return tracks


def sha256(stream: BinaryIO, size: int) -> str:
    """The hash of the next bytes of a stream, or of all that are left."""
    digest = hashlib.sha256()
    while size > 0 and (content := stream.read(min(size, CHUNK))):
        digest.update(content)
        size -= len(content)
    return digest.hexdigest()


def write_track(source: str, file: Planned, number: int, samples: BinaryIO) -> Track:
    """Decodes a file and appends it to a shard, unless it cannot be used.

    Args:
        source: folder of the corpus.
        file: what to decode.
        number: of the shard.
        samples: the shard, open for appending.
    """
    location = os.path.join(source, file.path)
    samples.seek(0, os.SEEK_END)
    first = samples.tell() // SAMPLE.itemsize
    with open(location, "rb") as content:  # a file that has gone since the plan is an error, not a broken file
        digest = sha256(content, file.bytes)
    track = Track(file.path, file.group, file.split, shard=number, first=first, source_sha256=digest)
    try:
        header = true_header(location, file)
        track = track._replace(rate=header.rate, channels=header.channels)
        with tempfile.TemporaryFile(dir=os.path.dirname(samples.name)) as spool:
            peak = 0.0
            for block in mono_blocks(location, header, SAMPLE_RATE):
                peak = max(peak, float(np.abs(block).max(initial=0)))
                spool.write(block.tobytes())
            spool.seek(0)
            gain = 1 / peak if peak > 1 else 1.0
            digest, frames = append(spool, gain, samples)
    except BadAudioError as error:
        return track._replace(rejected=error.reason)
    return track._replace(frames=frames, gain=gain, pcm_sha256=digest)


def true_header(location: str, file: Planned) -> Header:
    """The header of a file, with the length that it really has.

    Raises:
        BadAudioError: if it cannot be read, or does not last as long as its corpus says.
    """
    header = read_header(location)
    header = header._replace(frames=true_frames(location, header))
    if file.seconds is not None and abs(header.frames / header.rate - file.seconds) > tolerance(file.seconds):
        raise BadAudioError("wrong_length")
    return header


def append(spool: BinaryIO, gain: float, samples: BinaryIO) -> tuple[str, int]:
    """Appends samples (float32, full scale 1) as 16-bit integers.

    Returns:
        Their SHA-256, and how many they are.
    """
    digest, frames = hashlib.sha256(), 0
    while content := spool.read(CHUNK):
        block = np.rint(np.frombuffer(content, np.float32) * np.float32(gain) * FULL_SCALE)
        pcm = np.clip(block, -FULL_SCALE, FULL_SCALE - 1).astype(SAMPLE).tobytes()
        samples.write(pcm)
        digest.update(pcm)
        frames += len(block)
    return digest.hexdigest(), frames
