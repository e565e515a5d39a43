"""A source file as a whole: how long it really is, its hash, and whether it is the file that is broken or the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

from datamodules.inspection import Header, read_header, true_frames
from datamodules.rejection import BadAudioError, naming

Finding = TypeVar("Finding")


def true_header(location: str, seconds: float | None) -> Header:
    """The header of a file, with the length that it really has.

    Args:
        location: the file.
        seconds: how long it lasts, if its corpus says so.

    Raises:
        BadAudioError: if it cannot be read, or does not last as long as its corpus says.
    """
    header = read_header(location)
    header = header._replace(frames=true_frames(location, header))
    if seconds is not None and abs(header.frames / header.rate - seconds) > tolerance(seconds):
        raise BadAudioError("wrong_length")
    return header


def file_sha256(location: str) -> str:
    """The hash of a file, read to its end.

    It is also what tells a broken file from a broken disk: the latter, or one that is no longer there, cannot be read.

    Raises:
        OSError: if it cannot be read.
    """
    with naming(location), open(location, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tolerance(seconds: float) -> float:
    """How far a file's duration may be from what its corpus says: metadata are rounded, and encoders pad."""
    return 1 + 0.01 * seconds


def sure(look: Callable[[], Finding], location: str) -> Finding:
    """What a look at a file finds. Before a file is called bad all of it is read, and it is looked at once more.

    libsndfile reports what the operating system refuses as if the file were bad.

    Args:
        look: opens or decodes the file.
        location: of the file.

    Raises:
        BadAudioError: if it is the file that is bad.
        OSError: if the operating system refuses to read it.
    """
    try:
        return look()
    except BadAudioError as error:
        if error.reason == "format":  # known by the suffix; such files may be long films
            raise
        file_sha256(location)
        return look()
