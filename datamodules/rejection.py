"""Why audio is not used: the reasons, their words, and the list of files that a check has put aside.

What the operating system refuses is no such reason: it says nothing of a file, and is an error.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

BAD = {
    "missing": "are no longer there, or links to what is not",
    "unreadable": "cannot be decoded",
    "truncated": "hold less audio than their headers say",
    "wrong_length": "last longer or shorter than their headers or the corpus' metadata say",
    "chained": "hold several streams one after the other, of which only the first would be read",
    "not_finite": "hold NaN or infinite samples",
}
"""Reasons that speak of broken files; too many of them stop a training."""

UNSUITABLE = {
    "format": "are in formats that cannot be read, as m4a (convert them: ffmpeg -i IN OUT.flac)",
    "too_short": "are shorter than a crop",
    "low_rate": "are below the lowest sample rate allowed",
    "many_channels": "have more channels than allowed",
    "quarantined": "are on the quarantine list",
}
"""Reasons that leave a sound file unused because the settings ask for other files."""

QUARANTINE = "lincae-quarantine.tsv"
"""The quarantine list of a corpus lies in its folder under this name, unless the corpus names another place."""


DISK = "Look after the disk, the mount or the network that it is on"
CURES = {
    **dict.fromkeys([errno.EACCES, errno.EPERM], "Make it readable for this user, or leave it out"),
    **dict.fromkeys([errno.EMFILE, errno.ENFILE], "Raise the limit of open files (ulimit -n), or use fewer processes"),
    **dict.fromkeys([errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.ENODEV], DISK),
    **dict.fromkeys([errno.ENOENT, errno.ELOOP], "Bring it back, or remove the link to it"),
}
"""What helps where the operating system refuses to read."""


class BadAudioError(Exception):
    """Audio that cannot be used; the argument is the reason."""

    @property
    def reason(self) -> str:
        return self.args[0]


def listed(unused: Mapping[str, str], names: int = 5) -> str:
    """Counts of the reasons, each with the first few file names.

    Args:
        unused: reason of each path.
        names: file names given for each reason.
    """
    parts = []
    for reason, description in (BAD | UNSUITABLE).items():
        paths = [path for path, why in unused.items() if why == reason]
        if paths:
            more = f" and {len(paths) - names} more" if len(paths) > names else ""
            parts.append(f"{len(paths)} {description} ({', '.join(paths[:names])}{more})")
    return "; ".join(parts)


def write_quarantine(file: Path, bad: Mapping[str, str]) -> None:
    """Writes the list of broken files, path and reason, sorted by path; replaces an older list as a whole.

    Args:
        file: where to.
        bad: reason of each path, relative to its corpus.
    """
    partial = file.with_name(file.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        quoting = csv.QUOTE_ALL if any("\r" in path for path in bad) else csv.QUOTE_MINIMAL  # which forgets it
        writer = csv.writer(stream, dialect="excel-tab", lineterminator="\n", quoting=quoting)
        writer.writerow(["path", "reason"])
        writer.writerows(sorted(bad.items()))
    os.replace(partial, file)


def read_quarantine(file: Path) -> dict[str, str]:
    """Path and reason of the files on a quarantine list.

    Raises:
        ValueError: if the file is not such a list.
    """
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        rows = list(csv.reader(stream, dialect="excel-tab"))
    if not rows or rows[0] != ["path", "reason"] or any(len(row) != 2 for row in rows):
        raise ValueError(f"{file} is not a quarantine list: two columns, path and reason, with that header. Remove it")
    return {path: reason for path, reason in rows[1:]}


@contextmanager
def naming(location: str | os.PathLike) -> Iterator[None]:
    """Gives the name of a file or folder, and a cure, to errors of the operating system, which may have neither."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        text, cure = error.strerror or "", CURES.get(error.errno, "")
        if cure and cure not in text:
            text = f"{text}. {cure}"
        raise OSError(error.errno, text, error.filename or str(location)) from error
