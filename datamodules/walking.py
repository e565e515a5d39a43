"""The one walk through a folder of files: each real folder and each real file once, whatever links lead to them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import NamedTuple

import soundfile

from datamodules.rejection import naming

EXTENSIONS = {f".{name.lower()}" for name in soundfile.available_formats()}
EXTENSIONS |= {".aif", ".aifc", ".bwf", ".oga", ".opus", ".snd", ".sph"}
EXTENSIONS -= {".raw"}  # headerless: neither rate nor channels are known

FOREIGN = {
    *(".3gp", ".aac", ".ac3", ".amr", ".ape", ".dff", ".dsf", ".dts", ".eac3", ".m4a", ".m4b", ".m4p", ".mka", ".mp2"),
    *(".mp4", ".mpc", ".tak", ".tta", ".weba", ".webm", ".wma", ".wv"),
}
"""Suffixes of audio that libsndfile does not read as a rule."""

AUDIO = EXTENSIONS | FOREIGN


class Stamp(NamedTuple):
    """What the file system says of a file.

    Attributes:
        size: bytes.
        mtime_ns: when its content changed.
        identity: the same for the same file under any name: device and inode.
    """

    size: int
    mtime_ns: int
    identity: str

    @classmethod
    def of(cls, state: os.stat_result) -> Stamp:
        return cls(state.st_size, state.st_mtime_ns, f"{state.st_dev}:{state.st_ino}")


DEAD = Stamp(-1, 0, "")
"""The stamp of a link to a file that is not there."""


def is_audio(path: str) -> bool:
    """Whether a path ends as audio does, also of formats that cannot be read."""
    return suffix_of(path) in AUDIO


def suffix_of(path: str | os.PathLike) -> str:
    """`a/B.FLAC` -> `.flac`."""
    return os.path.splitext(path)[1].lower()


def walk(
    root: str, takes: Callable[[str], bool] = is_audio, enters: Callable[[str], bool] = lambda _: True
) -> dict[str, Stamp]:
    """The files below a folder by their paths relative to it, sorted.

    Links are followed. A file or folder that has several names is taken once: under a name without links if there is
    one, else under one with the fewest links, and of these under the first in the order of names. So a folder is never
    entered twice, and hard links are one file. Hidden files and folders are passed over, and what is no regular file.

    Args:
        root: folder.
        takes: whether a file of this relative path is wanted.
        enters: whether a folder of this relative path may hold wanted files.

    Raises:
        OSError: if a folder cannot be read, or a link leads to no file or folder: what it holds is unknown.
    """
    found: dict[str, Stamp] = {}
    entered: set[tuple[int, int]] = set()
    taken: set[str] = set()
    paths = [""]  # the root, then the links that are met in each round
    while paths:
        files: list[tuple[str, Stamp]] = []
        links: list[str] = []
        for path in sorted(paths):
            folders: list[tuple[str, os.stat_result]] = []
            location = os.path.join(root, path)
            try:
                with naming(location):
                    state = os.stat(location)
            except FileNotFoundError:
                if takes(path):
                    files.append((path, DEAD))
                elif not suffix_of(path):  # it may have led to a folder
                    raise
                continue
            if stat.S_ISDIR(state.st_mode):
                if not path or enters(path):
                    folders.append((path, state))
            elif stat.S_ISREG(state.st_mode) and takes(path):
                files.append((path, Stamp.of(state)))
            while folders:
                folder, state = folders.pop()
                if (state.st_dev, state.st_ino) in entered:
                    continue
                entered.add((state.st_dev, state.st_ino))
                location = os.path.join(root, folder)
                with naming(location), os.scandir(location) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_symlink():
                            links.append(path)
                        elif entry.is_dir():
                            if enters(path):
                                folders.append((path, entry.stat()))
                        elif takes(path) and entry.is_file():
                            files.append((path, Stamp.of(entry.stat())))
        for path, stamp in sorted(files):
            if stamp == DEAD or stamp.identity not in taken:
                taken.add(stamp.identity)
                found[path] = stamp
        paths = [path for path in links if takes(path) or enters(path)]
    return dict(sorted(found.items()))
