"""The headers of many audio files, remembered between runs: asking a file's age is much faster than opening it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from datamodules.inspection import read_header, true_frames
from datamodules.rejection import BadAudioError


class SizedHeader(NamedTuple):
    """What a file's header says, and its size.

    Attributes:
        frames: length at its own rate.
        rate: Hz.
        channels: 1 or more.
        format: of the container.
        size: bytes.
    """

    frames: int
    rate: int
    channels: int
    format: str
    size: int


def read_headers(root: str, paths: Sequence[str]) -> list[SizedHeader | str]:
    """The header of each file, or the reason why it has none that can be used.

    A file that has kept its size and time of change since an earlier call is not opened again.

    Args:
        root: folder.
        paths: relative to it.
    """
    memory = cache_file(root)
    known = load(memory)
    headers: dict[str, SizedHeader | str] = {}
    fresh: dict[str, list] = {}
    for path in tqdm(paths, f"scanning {root}", disable=rank_zero_only.rank != 0 or len(paths) < 1000):
        location = os.path.join(root, path)
        try:
            state = os.stat(location)
        except OSError:
            headers[path] = "unreadable"
            continue
        stamp = [state.st_size, state.st_mtime_ns]
        size, mtime, found = known.get(path, (None, None, None))
        if [size, mtime] != stamp:
            found = header_or_reason(location)
        fresh[path] = [*stamp, found]
        headers[path] = found if isinstance(found, str) else SizedHeader(*found, state.st_size)
    if fresh != known:
        save(memory, known | fresh)
    return [headers[path] for path in paths]


def header_or_reason(location: str) -> list | str:
    """Frames as decoded, rate, channels and format of a file, or the reason why it cannot be used."""
    try:
        header = read_header(location)
        return list(header._replace(frames=true_frames(location, header)))
    except BadAudioError as error:
        return error.reason


def cache_file(root: str) -> Path:
    """Where the headers of a folder are remembered: below `$XDG_CACHE_HOME`, by default `~/.cache`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        home / "lincae" / "headers" / f"{blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()}.json"
    )


def load(memory: Path) -> dict[str, list]:
    """What is remembered; nothing if the file is missing or damaged, since it can be made again."""
    try:
        return json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}


def save(memory: Path, headers: dict[str, list]) -> None:
    """Replaces what is remembered. A home folder that cannot be written only costs the time of another scan."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as partial:
            json.dump(headers, partial)
        os.replace(partial.name, memory)
    except OSError:
        return
