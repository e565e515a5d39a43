"""What all published corpora have in common: a licence, a source, and a layout that is checked."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from datamodules.corpus import Corpus, Entry
from datamodules.ranks import warn
from datamodules.rejection import naming
from datamodules.walking import Stamp, walk

NAMED = 3
"""Missing files whose names are given."""


class PublishedCorpus(Corpus):
    """A corpus in the layout in which it is distributed.

    Args:
        path: its folder, or a folder or URL of shards made from it. A leading `~` is the home folder.
        weight: crops are drawn from a corpus with probability weight / sum of all weights. Must be positive.
        quarantine: list of files to leave out; by default the one that `lincae data check` leaves in the folder.
    """

    title = ""
    """Its name."""
    licence = ""
    """Under which terms its audio may be used."""
    source = ""
    """Where to get it."""
    layout = ""
    """What its folder holds, in the words of an error message."""

    def __init__(self, path: str, weight: float = 1.0, quarantine: str | None = None) -> None:
        super().__init__(path, weight, quarantine=quarantine)

    def incomplete(self, problem: str) -> ValueError:
        """The error that says what was expected on disk, and where to get it."""
        return ValueError(
            f"{self.title} is not complete at {self.path}: {problem}. Expected on disk: {self.layout}. Get it from "
            f"{self.source} ({self.licence}), and give its folder as path"
        )

    def expect(self, *names: str) -> str:
        """The path of the first of these files or folders that exists, below the corpus' folder.

        Raises:
            ValueError: if none does: what was expected, and where to get it.
        """
        for name in names:
            path = os.path.join(self.path, name)
            if os.path.exists(path):
                return path
        raise self.incomplete(f"{' or '.join(names)} is missing")

    def audio_paths(self, skip: Collection[str] = ()) -> dict[str, Stamp]:
        """Relative paths of all audio files at any depth, sorted. Nothing hidden is among them.

        Args:
            skip: names of folders that are not entered.

        Raises:
            ValueError: if there is no such folder.
            OSError: if a folder cannot be read.
        """
        if not os.path.isdir(self.path):
            raise self.incomplete("there is no such folder")
        return walk(self.path, enters=lambda folder: os.path.basename(folder) not in skip)

    def present(self, listed: Sequence[Entry]) -> list[Entry]:
        """The entries whose files are there, sorted by path; a warning counts the others.

        Args:
            listed: what the corpus says that it holds.

        Raises:
            ValueError: if there are none.
            OSError: if it cannot be found out whether a file is there.
        """
        here = []
        missing = []
        for entry in listed:
            location = os.path.join(self.path, entry.path)
            try:
                with naming(location):
                    here.append(entry._replace(stamp=Stamp.of(os.stat(location))))
            except (FileNotFoundError, NotADirectoryError):
                missing.append(entry.path)
        some = ", ".join([*sorted(missing)[:NAMED], *["..."] * (len(missing) > NAMED)])
        if not here:
            raise self.incomplete(f"of {len(listed)} files in its list none is there ({some})")
        if missing:
            warn(
                f"{self.title} at {self.path}: {len(missing)} of {len(listed)} files in its list are missing ({some}). "
                "Complete the download, or go on with the others"
            )
        return sorted(here, key=lambda entry: entry.path)
