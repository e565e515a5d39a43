"""MUSDB18-HQ: the stems of songs, to validate and to test on."""

from __future__ import annotations

import os
from typing import Literal, get_args

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpus import Entry

Split = Literal["train", "validation", "test"]
STEMS = ("bass", "drums", "other", "vocals")
VALIDATION = {
    "ANiMAL - Rockshow",
    "Actions - One Minute Smile",
    "Alexander Ross - Goodbye Bolero",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Fergessen - Nos Palpitants",
    "James May - On The Line",
    "Johnny Lokke - Promises & Lies",
    "Leaf - Summerghost",
    "Meaxic - Take A Step",
    "Patrick Talbot - A Reason To Leave",
    "Skelpolu - Human Mistakes",
    "Traffic Experiment - Sirens",
    "Triviul - Angelsaint",
    "Young Griffo - Pennies",
}
"""Songs of the folder `train` that are by custom validated on: those in `mus.yaml` of the package `musdb` of sigsep."""


class MUSDB18HQ(PublishedCorpus):
    """150 songs in four stems, stereo of 44.1 kHz (Rafii et al. 2019, doi 10.5281/zenodo.3338373).

    The custom is 86 songs for training, 14 for validation and 50 for testing. Artists of the 14, such as James May,
    are heard in the 86 too: do not train on `train` what is to be validated on `validation`. The mixture is left out.

    Args:
        path: its folder, or a folder or URL of shards made from it. A leading `~` is the home folder.
        split: which songs: `train`, `validation` or `test`.
        weight: crops are drawn from a corpus with probability weight / sum of all weights. Must be positive.
        quarantine: list of files to leave out; by default the one that `lincae data check` leaves in the folder.
    """

    title = "MUSDB18-HQ"
    licence = "academic use"
    source = "zenodo.org/records/3338373"
    layout = f"train/<artist> - <song>/ and test/<artist> - <song>/ with {', '.join(f'{stem}.wav' for stem in STEMS)}"

    def __init__(self, path: str, split: Split = "test", weight: float = 1.0, quarantine: str | None = None) -> None:
        super().__init__(path, weight, quarantine)
        if split not in get_args(Split):
            raise ValueError(f"{self.title} has no part {split!r}: choose one of {', '.join(get_args(Split))}")
        self.split = split

    def entries(self) -> list[Entry]:
        folder = "test" if self.split == "test" else "train"
        songs = {song.name for song in os.scandir(self.expect(folder)) if song.is_dir()}
        if self.split == "train":
            songs -= VALIDATION
        elif self.split == "validation":
            songs = VALIDATION
        listed = [
            Entry(f"{folder}/{song}/{stem}.wav", song.split(" - ")[0], self.split)
            for song in sorted(songs)
            for stem in STEMS
        ]
        return self.present(listed)

    def keeps(self, split: str) -> bool:
        return split == self.split
