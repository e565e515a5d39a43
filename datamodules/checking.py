"""Checking a corpus as a whole: every file is decoded to its end, every shard compared with its hashes."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from datamodules.corpus import Corpus, Entry
from datamodules.index import Demands, quarantine_of, tolerance
from datamodules.inspection import decode_blocks, read_header, true_frames
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

CHUNK = 1 << 22  # samples


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
        window: frames. What is left at the end of a sound counts as a window if it is the only one.
        threshold: rms below which a window is silent; full scale is 1.
    """

    def __init__(self, window: int, threshold: float) -> None:
        self.window, self.threshold = window, threshold
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
        energy = np.einsum("wt,wt->w", windows, windows) / max(1, windows.shape[1])
        self._silent += int((energy < self.threshold**2).sum())
        self._windows += len(windows)


def check_corpus(corpus: Corpus, demands: Demands, silence: float, processes: int) -> tuple[int, Iterator[FileCheck]]:
    """Checks all files of a corpus, or all tracks of its shards.

    Args:
        corpus: what to check.
        demands: what files must meet.
        silence: rms below which a stretch as long as a crop is silent.
        processes: that decode files.

    Returns:
        How many files there are, and what is found out about each, sorted by path.

    Raises:
        ValueError: if the corpus is missing, or its shards are unfinished or of wrong sizes.
    """
    if is_prepared(corpus):
        tracks = read_manifest(corpus.path).tracks
        return len(tracks), (check_track(corpus.path, track, demands, silence) for track in tracks)
    entries, quarantined = corpus.entries(), quarantine_of(corpus)
    check = partial(check_file, corpus.path, demands=demands, silence=silence)
    return len(entries), (
        found._replace(reason="quarantined") if found.path in quarantined else found
        for found in in_processes(check, entries, processes)
    )


def in_processes(check, entries: list[Entry], processes: int) -> Iterator[FileCheck]:
    """Calls a function for each entry in processes of its own, in order."""
    with ProcessPoolExecutor(processes) as executor:
        yield from executor.map(check, entries, chunksize=4)


def check_file(root: str, entry: Entry, demands: Demands, silence: float) -> FileCheck:
    """Decodes a file to its end.

    Args:
        root: folder of the corpus.
        entry: the file.
        demands: what it must meet.
        silence: rms below which a stretch as long as a crop is silent.
    """
    location, found = os.path.join(root, entry.path), FileCheck(entry.path)
    try:
        header = read_header(location)
        frames = true_frames(location, header)
        header = header._replace(frames=frames)
        seconds = frames / header.rate
        found = FileCheck(entry.path, seconds, header.rate, header.channels, header.format)
        if entry.seconds is not None and abs(seconds - entry.seconds) > tolerance(entry.seconds):
            raise BadAudioError("wrong_length")
        heard = Silence(round(demands.samples * header.rate / demands.sample_rate), silence)
        for block in decode_blocks(location, header):
            heard.hear(block.mean(axis=1))
    except BadAudioError as error:
        return found._replace(reason=error.reason)
    unsuitable = demands.reason(frames * demands.sample_rate // header.rate, header.rate, header.channels)
    return found._replace(silent=heard.share(), reason=unsuitable or "")


def check_track(root: str, track: Track, demands: Demands, silence: float) -> FileCheck:
    """Compares a track with its hash.

    Args:
        root: folder or URL of the shards.
        track: from their manifest.
        demands: what it must meet.
        silence: rms below which a stretch as long as a crop is silent.
    """
    found = FileCheck(track.path, track.frames / SAMPLE_RATE, track.rate, track.channels, "shard")
    if track.rejected:
        return found._replace(reason=track.rejected)
    digest, heard = hashlib.sha256(), Silence(math.ceil(demands.samples * SAMPLE_RATE / demands.sample_rate), silence)
    for first in range(track.first, track.first + track.frames, CHUNK):
        last = min(first + CHUNK, track.first + track.frames)
        (samples,) = read_samples([Stretch(root, shard_name(track.shard), first, last)])
        digest.update(samples.tobytes())
        heard.hear(samples * np.float32(1 / FULL_SCALE))
    if digest.hexdigest() != track.pcm_sha256:
        return found._replace(reason="unreadable")
    length = track.frames * demands.sample_rate // SAMPLE_RATE
    return found._replace(silent=heard.share(), reason=demands.reason(length, track.rate, track.channels) or "")
