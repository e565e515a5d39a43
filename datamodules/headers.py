"""The headers of many audio files, remembered between runs: asking a file's age is much faster than opening it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import soundfile
from tqdm import tqdm

from datamodules import flac, inspection, mp3
from datamodules.corpus import Entry
from datamodules.inspection import read_header, true_frames
from datamodules.rejection import BadAudioError, naming
from datamodules.source import sure
from datamodules.walking import DEAD


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


def read_headers(root: str, entries: Sequence[Entry]) -> list[SizedHeader | str]:
    """The header of each file, or the reason why it has none that can be used.

    A file that has kept its size and time of change since an earlier call is not opened again, as long as it would be
    read by the same rules and the same libsndfile.

    Args:
        root: folder.
        entries: of `Corpus.files`.

    Raises:
        OSError: if the operating system refuses to read a file. What was found out before is remembered.
    """
    memory = cache_file(root)
    known = load(memory)
    headers: list[SizedHeader | str] = []
    fresh: dict[str, list] = {}
    try:
        for path, *_, stamp in tqdm(entries, f"scanning {root}", disable=len(entries) < 1000):
            assert stamp is not None
            if stamp == DEAD:
                headers.append("missing")
                continue
            size, mtime, found = known.get(path, (None, None, None))
            if size != stamp.size or mtime != stamp.mtime_ns:
                found = header_or_reason(os.path.join(root, path))
                fresh[path] = [stamp.size, stamp.mtime_ns, found]
            headers.append(found if isinstance(found, str) else SizedHeader(*found, stamp.size))
    finally:
        if fresh:
            save(memory, known | fresh)
    return headers


def header_or_reason(location: str) -> list | str:
    """Frames as decoded, rate, channels and format of a file, or the reason why it cannot be used."""

    def look() -> list:
        with naming(location):
            header = read_header(location)
            return list(header._replace(frames=true_frames(location, header)))

    try:
        return sure(look, location)
    except BadAudioError as error:
        return error.reason


def version() -> str:
    """What headers depend on beside the files: libsndfile, and the code that reads them."""
    code = blake2b(digest_size=8)
    for module in (inspection, mp3, flac):
        code.update(Path(module.__file__).read_bytes())
    return f"{soundfile.__libsndfile_version__} {code.hexdigest()}"


def cache_file(root: str) -> Path:
    """Where the headers of a folder are remembered: below `$XDG_CACHE_HOME`, by default `~/.cache`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        home / "lincae" / "headers" / f"{blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()}.json"
    )


def load(memory: Path) -> dict[str, list]:
    """What is remembered; nothing if it is missing, damaged or of another version, since it can be made again."""
    try:
        content = json.loads(memory.read_bytes())
        return content["headers"] if content["version"] == version() else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def save(memory: Path, headers: Mapping[str, list]) -> None:
    """Replaces what is remembered. A home folder that cannot be written only costs the time of another scan."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as partial:
            json.dump({"version": version(), "headers": headers}, partial)
        os.replace(partial.name, memory)
    except OSError:
        return
