"""MusicCaps: clips of music to evaluate on, whose audio the user supplies."""

from __future__ import annotations

import os
from hashlib import blake2b

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpora.table import read_table
from datamodules.corpus import Entry
from datamodules.ranks import warn
from datamodules.walking import FOREIGN, suffix_of

TABLE = "musiccaps-public.csv"
FOLDERS = ("", "audio", "audios", "wav")


class MusicCaps(PublishedCorpus):
    """A list of 5,521 clips of 10 s of YouTube videos (Agostinelli et al. 2023, arXiv 2301.11325).

    The list is distributed, the audio is not: each clip is expected as `<ytid>.<extension>`, cut from `start_s` to
    `end_s`. Videos vanish, so evaluations are comparable only if `describe` says the same of both.
    """

    title = "MusicCaps"
    licence = "list: CC BY-SA 4.0; audio: its owners'"
    source = "huggingface.co/datasets/google/MusicCaps (the list) and YouTube"
    layout = f"{TABLE}, and <ytid>.<extension> beside it or in audio/, audios/ or wav/"

    def entries(self) -> list[Entry]:
        clips = self.clips()
        paths = sorted(path for path in clips.values() if path)
        if not paths:
            raise self.incomplete(f"of {len(clips)} clips in its list none is there")
        if len(paths) < len(clips):
            warn(self.describe())
        return [Entry(path) for path in paths]

    def describe(self) -> str:
        """How many clips there are, and a hash of their ids."""
        clips = self.clips()
        ids = sorted(clip for clip, path in clips.items() if path)
        digest = blake2b("\n".join(ids).encode(), digest_size=8).hexdigest()
        return f"{self.title} at {self.path}: {len(ids)} of {len(clips)} clips are there; hash of their ids: {digest}"

    def clips(self) -> dict[str, str]:
        """The file of each clip in the list, by id; empty where there is none.

        Raises:
            ValueError: if the list is missing or damaged.
        """
        table = self.expect(TABLE)
        found: dict[str, str] = {}
        for path in sorted(self.audio_paths(), key=lambda path: (suffix_of(path) in FOREIGN, path)):
            folder, name = os.path.split(path)
            if folder in FOLDERS:
                found.setdefault(os.path.splitext(name)[0], path)
        return {clip: found.get(clip, "") for (clip,) in read_table(table, {"ytid": str})}
