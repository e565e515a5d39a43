"""Checking a corpus as a whole: every file is decoded to its end, every shard compared with its hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from datamodules.corpus import Corpus, Entry
from datamodules.index import Demands
from datamodules.inspection import Header, mix_down, mono_blocks
from datamodules.processes import in_processes
from datamodules.rejection import BadAudioError
from datamodules.shards import (
    FULL_SCALE,
    SAMPLE_RATE,
    Stretch,
    Track,
    is_prepared,
    read_manifest,
    read_samples,
    shard_name,
)
from datamodules.source import sure, true_header
from datamodules.storage import is_url
from datamodules.walking import DEAD

CHUNK = 1 << 22  # values, and even: of whole frames
BATCH = 32  # files that a process checks before it ends


class FileCheck(NamedTuple):
    """What was found out about a file.

    Attributes:
        path: relative to its corpus.
        seconds: how long it lasts; 0 if it cannot be read.
        rate: Hz.
        channels: how many.
        format: of the container.
        silent: share of it that is silent, in [0, 1].
        reason: why it cannot be used; empty if it can.
    """

    path: str
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    format: str = ""
    silent: float = 0.0
    reason: str = ""


class Silence:
    """The share of a sound that is silent, heard block by block in windows of equal length.

    Args:
        window: samples. What is left at the end of a sound counts as a window if it is the only one.
        threshold: rms below which a window is silent; full scale is 1.
    """

    def __init__(self, window: int, threshold: float) -> None:
        self.window, self.threshold = max(1, window), threshold
        self._rest = np.empty(0, np.float32)
        self._silent = self._windows = 0

    def hear(self, mono: np.ndarray) -> None:
        """The next block (n,)."""
        audio = np.concatenate([self._rest, mono])
        whole = len(audio) // self.window * self.window
        self._count(audio[:whole].reshape(-1, self.window))
        self._rest = audio[whole:]

    def share(self) -> float:
        """In [0, 1]; 0 for no sound at all."""
        if not self._windows and len(self._rest):
            self._count(self._rest[None])
        return self._silent / max(1, self._windows)

    def _count(self, windows: np.ndarray) -> None:
        energy = np.einsum("wt,wt->w", windows, windows) / windows.shape[1]
        self._silent += int((energy < self.threshold**2).sum())
        self._windows += len(windows)


def check_corpus(
    corpus: Corpus, demands: Demands, silence: float, processes: int, quarantined: Container[str] = ()
) -> tuple[int, Generator[FileCheck]]:
    """Checks all files of a corpus, or all tracks of its shards.

    Args:
        corpus: what to check.
        demands: what files must meet.
        silence: rms below which a stretch as long as a crop is silent.
        processes: that decode files. Shards at a URL are read by this one.
        quarantined: paths that are known to be broken, and not looked at.

    Returns:
        How many files there are, and what is found out about each, in any order.

    Raises:
        ValueError: if the corpus is missing or empty, or its shards are unfinished or of wrong sizes.
        OSError: if the disk, and not a file, is broken.
        RuntimeError: if a process dies at a file, or an object store does not answer.
    """
    files: Sequence[Entry | Track]
    check: Callable[[Any], FileCheck]
    if is_prepared(corpus):
        files = read_manifest(corpus.path).tracks
        check = partial(check_track, corpus.path, demands=demands, silence=silence)
    else:
        files = corpus.files()
        check = partial(check_file, corpus.path, demands=demands, silence=silence)
    if not files:
        raise ValueError(f"{corpus.path} has no audio files: correct the path")

    def check_all(batch: Sequence[Entry | Track]) -> Generator[FileCheck]:
        for file in batch:
            yield FileCheck(file.path, reason="quarantined") if file.path in quarantined else check(file)

    if is_url(corpus.path):  # a client of an object store does not survive a fork
        return len(files), check_all(files)
    batches = (files[first : first + BATCH] for first in range(0, len(files), BATCH))
    return len(files), in_processes(check_all, batches, processes)


def check_file(root: str, entry: Entry, demands: Demands, silence: float) -> FileCheck:
    """Decodes a file to its end.

    Args:
        root: folder of the corpus.
        entry: the file.
        demands: what it must meet.
        silence: rms below which a stretch as long as a crop is silent.

    Raises:
        OSError: if the file cannot be read.
    """
    if entry.stamp == DEAD:
        return FileCheck(entry.path, reason="missing")
    location, found = os.path.join(root, entry.path), FileCheck(entry.path)

    def decode() -> tuple[Header, Silence]:
        nonlocal found
        header = true_header(location, entry.seconds)
        found = FileCheck(entry.path, header.frames / header.rate, header.rate, header.channels, header.format)
        heard = Silence(round(demands.samples * header.rate / demands.sample_rate), silence)
        for block in mono_blocks(location, header, header.rate):
            heard.hear(block)
        return header, heard

    try:
        header, heard = sure(decode, location)
    except BadAudioError as error:
        return found._replace(reason=error.reason)
    length = header.frames * demands.sample_rate // header.rate
    return found._replace(silent=heard.share(), reason=demands.reason(length, header.rate, header.channels) or "")


def check_track(root: str, track: Track, demands: Demands, silence: float) -> FileCheck:
    """Compares a track with its hash.

    Args:
        root: folder or URL of the shards.
        track: from their manifest.
        demands: what it must meet.
        silence: rms below which a stretch as long as a crop is silent.

    Raises:
        RuntimeError: if an object store does not answer.
    """
    found = FileCheck(track.path, track.frames / SAMPLE_RATE, track.rate, track.channels, "shard")
    if track.rejected:
        return found._replace(reason=track.rejected)
    digest, heard = hashlib.sha256(), Silence(round(demands.samples * SAMPLE_RATE / demands.sample_rate), silence)
    for first in range(track.first, track.end, CHUNK):
        (samples,) = read_samples([Stretch(root, shard_name(track.shard), first, min(first + CHUNK, track.end))])
        digest.update(samples.data)
        heard.hear(mix_down(samples.reshape(-1, track.stored)) * np.float32(1 / FULL_SCALE / track.gain))
    if digest.hexdigest() != track.pcm_sha256:
        return found._replace(reason="unreadable")
    length = track.frames * demands.sample_rate // SAMPLE_RATE
    return found._replace(silent=heard.share(), reason=demands.reason(length, track.rate, track.channels) or "")
