"""M4Singer: Mandarin singing without accompaniment, split by singer."""

from __future__ import annotations

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpus import Entry


class M4Singer(PublishedCorpus):
    """700 songs, in phrases, by 20 professional singers (Zhang et al. 2022).

    A folder is named `<singer>#<song>`, such as `Alto-1#newboy`; the singer is the group. The authors' six test songs
    are not set apart, since their singers are heard in other songs.
    """

    title = "M4Singer"
    licence = "CC BY-NC-SA 4.0"
    source = "github.com/M4Singer/M4Singer, upon application"
    layout = "<singer>#<song>/<number>.wav"

    def entries(self) -> list[Entry]:
        entries = [
            Entry(path, path.split("#")[0], stamp=stamp)
            for path, stamp in self.audio_paths().items()
            if path.count("/") == 1 and "#" in path.split("/")[0]
        ]
        if not entries:
            raise self.incomplete("there is no audio in folders <singer>#<song>")
        return entries
