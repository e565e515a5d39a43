"""MTG-Jamendo: full music tracks, split by artist."""

from __future__ import annotations

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpora.table import read_table
from datamodules.corpus import Entry


class MTGJamendo(PublishedCorpus):
    """55,701 full tracks of Jamendo, mp3 of 320 kbit/s (Bogdanov et al. 2019).

    `raw_30s.tsv` lists the tracks with their artists, which are the groups, and durations. The authors' splits are
    not used: they were made for tagging, and cover a part of the tracks.
    """

    title = "MTG-Jamendo"
    licence = "Creative Commons, for each track the one in audio_licenses.txt"
    source = "github.com/MTG/mtg-jamendo-dataset"
    layout = "raw_30s.tsv, here or in data/, and the archive raw_30s/audio unpacked: 00/<id>.mp3 to 99/<id>.mp3"

    def entries(self) -> list[Entry]:
        table = self.expect("raw_30s.tsv", "data/raw_30s.tsv")
        low = [path for path in self.audio_paths() if path.endswith(".low.mp3")]
        if low:
            raise self.incomplete(
                f"{len(low)} files are of the archive raw_30s/audio-low ({low[0]}), which is mono at a low bit rate. "
                "Remove them and unpack raw_30s/audio"
            )
        columns = {"PATH": str, "ARTIST_ID": str, "DURATION": float}
        listed = [
            Entry(path, artist, seconds=seconds) for path, artist, seconds in read_table(table, columns, delimiter="\t")
        ]
        return self.present(listed)
