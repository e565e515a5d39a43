"""What a corpus is: the audio files that belong to it, who is heard in them, and which part they are of.

The class here is a plain folder. Corpora with a layout of their own derive from it, in `datamodules.corpora`.
"""

from __future__ import annotations

import glob
import os
from copy import copy
from typing import NamedTuple

import soundfile

from datamodules.storage import is_url

EXTENSIONS = {f".{name.lower()}" for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
EXTENSIONS -= {".raw"}  # headerless: neither rate nor channels are known


class Entry(NamedTuple):
    """An audio file that a corpus names.

    Attributes:
        path: relative to the corpus' folder.
        group: the artist, singer, reader or performance. A group is never on both sides of a split; without a name,
            each file is a group of its own.
        split: `train`, `validation` or `test` where the corpus says so, else empty.
        seconds: how long the file lasts, where the corpus says so.
    """

    path: str
    group: str = ""
    split: str = ""
    seconds: float | None = None


class Corpus:
    """A folder of audio, and its share in training.

    Args:
        path: the folder, or a folder or URL of shards made from it. A leading `~` is the home folder.
        weight: crops are drawn from a corpus with probability weight / sum of all weights. Must be positive.
        patterns: which files, relative to the folder. `**` stands for any depth; hidden files are never matched.
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
            Entry(path, "/".join(path.split("/")[:depth]) if path.count("/") >= depth else "")
            for path in self.audio_paths()
        ]

    def keeps(self, split: str) -> bool:
        """Whether files of a part are of this corpus, where shards hold other parts too."""
        return True

    def audio_paths(self) -> list[str]:
        """Relative paths of the files that match the patterns and have an audio extension, sorted."""
        matches = {
            path for pattern in self.patterns for path in glob.iglob(pattern, root_dir=self.path, recursive=True)
        }
        return sorted(
            path
            for path in matches
            if os.path.splitext(path)[1].lower() in EXTENSIONS and os.path.isfile(os.path.join(self.path, path))
        )
