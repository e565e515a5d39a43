"""What a corpus is: the audio files that belong to it, who is heard in them, and which part they are of.

The class here is a plain folder. Corpora with a layout of their own derive from it, in `datamodules.corpora`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import copy
from fnmatch import fnmatchcase
from typing import NamedTuple

from datamodules.rejection import naming
from datamodules.storage import is_url
from datamodules.walking import Stamp, is_audio, walk


class Entry(NamedTuple):
    """An audio file that a corpus names.

    Attributes:
        path: relative to the corpus' folder.
        group: the artist, singer, reader or performance. A group is never on both sides of a split; without a name,
            each file is a group of its own.
        split: `train`, `validation` or `test` where the corpus says so, else empty.
        seconds: how long the file lasts, where the corpus says so.
        stamp: of the file, where the corpus has met it on disk.
    """

    path: str
    group: str = ""
    split: str = ""
    seconds: float | None = None
    stamp: Stamp | None = None


class Corpus:
    """A folder of audio, and its share in training.

    Args:
        path: the folder, or a folder or URL of shards made from it. A leading `~` is the home folder.
        weight: crops are drawn from a corpus with probability weight / sum of all weights. Must be positive.
        patterns: which files, relative to the folder. `**` stands for any depth; hidden files are never matched. Other
            folders are not entered.
        group_depth: files below the same folder at this depth are of one group, which training and validation never
            share; 1 suits folders named by artist. 0 makes each file a group.
        quarantine: list of files to leave out; by default the one that `lincae data check` leaves in the folder.
    """

    licence = "its owner's"

    def __init__(
        self,
        path: str,
        weight: float = 1.0,
        patterns: list[str] | None = None,
        group_depth: int = 0,
        quarantine: str | None = None,
    ) -> None:
        if not weight > 0:
            raise ValueError(f"corpus {path} has weight {weight}: give it a positive one, or leave it out")
        self.path, self.weight = os.path.expanduser(path), weight
        self.patterns, self.group_depth = patterns or ["**/*"], group_depth
        self.quarantine = quarantine

    def below(self, root: str | None) -> Corpus:
        """The same corpus, a relative path of which begins at a folder or URL."""
        if root is None or is_url(self.path) or os.path.isabs(self.path):
            return self
        moved = copy(self)
        moved.path = os.path.join(os.path.expanduser(root), self.path)
        return moved

    def entries(self) -> list[Entry]:
        """The files, sorted by path.

        Raises:
            ValueError: if they are not where they should be.
        """
        if not os.path.isdir(self.path):
            raise ValueError(f"{self.path}: no such folder. Correct the path")
        depth = self.group_depth
        return [
            Entry(path, "/".join(path.split("/")[:depth]) if path.count("/") >= depth else "", stamp=stamp)
            for path, stamp in self.audio_paths().items()
        ]

    def files(self) -> list[Entry]:
        """The entries with their stamps, each real file once: under the first of its paths.

        Raises:
            OSError: if a file is not there, or may not be looked at.
        """
        files = []
        seen = set()
        for entry in self.entries():
            stamp = entry.stamp
            if stamp is None:
                location = os.path.join(self.path, entry.path)
                with naming(location):
                    stamp = Stamp.of(os.stat(location))
            if stamp.identity not in seen:
                seen |= {stamp.identity} - {""}
                files.append(entry._replace(stamp=stamp))
        return files

    def keeps(self, split: str) -> bool:
        """Whether files of a part are of this corpus, where shards hold other parts too."""
        return True

    def audio_paths(self) -> dict[str, Stamp]:
        """Relative paths of the files that match the patterns and end as audio does, sorted; see `walk` for links.

        Raises:
            OSError: if a folder cannot be read.
        """
        if self.patterns == ["**/*"]:
            return walk(self.path)
        patterns = [os.path.normpath(pattern).split("/") for pattern in self.patterns]
        return walk(
            self.path,
            lambda path: is_audio(path) and any(fits(path.split("/"), pattern) for pattern in patterns),
            lambda path: any(fits(path.split("/"), pattern, whole=False) for pattern in patterns),
        )


def fits(parts: Sequence[str], pattern: Sequence[str], whole: bool = True) -> bool:
    """Whether the parts of a path fit those of a pattern, or if not `whole`, whether a path that goes on may.

    `**` stands for any number of parts.
    """
    if not parts:
        return all(part == "**" for part in pattern) if whole else bool(pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        return fits(parts, pattern[1:], whole) or fits(parts[1:], pattern, whole)
    return fnmatchcase(parts[0], pattern[0]) and fits(parts[1:], pattern[1:], whole)
