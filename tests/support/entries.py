"""Entries of corpora, to be compared with what is expected."""

from collections.abc import Iterable

from datamodules.corpus import Entry


def unstamped(entries: Iterable[Entry]) -> list[Entry]:
    """The same without what the file system says of their files."""
    return [entry._replace(stamp=None) for entry in entries]
