"""One command at a time in a folder of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lincae.machine import file_locks

LOCK = ".lock"


@contextmanager
def locked(folder: Path, what: str) -> Iterator[int]:
    """Keep all others out of a folder, until this process and all that were given the descriptor have ended.

    Args:
        folder: made if there is none.
        what: works there, for the error.

    Yields:
        The descriptor of the locked file.

    Raises:
        RuntimeError: if somebody else is at work there, or the system has no such locks.
    """
    fcntl = file_locks()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(
                f"{what} is at work in {folder}, or what one that was killed had started: wait for it, or end it"
            ) from error
        yield file.fileno()
