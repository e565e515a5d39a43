"""A source file as a whole: how long it really is, its hash, and whether it is the file that is broken or the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from datamodules.index import tolerance
from datamodules.inspection import Header, read_header, true_frames
from datamodules.rejection import BadAudioError


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


@contextmanager
def naming(location: str | os.PathLike) -> Iterator[None]:
    """Gives the name of a file to an error of reading or writing it, which by itself has none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(location)) from error
        raise
