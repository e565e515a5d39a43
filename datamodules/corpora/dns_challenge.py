"""DNS-Challenge: clean speech, split by reader."""

from __future__ import annotations

import re

from datamodules.corpora.published import PublishedCorpus
from datamodules.corpus import Entry

M_AILABS = r"/(?:fe)?male/([^/]+)/"  # .../<locale>/female/<reader>/<book>/wavs/<book>_f000001.wav
READERS = {
    "read_speech": r"_reader_(\d+)_",  # book_00000_chp_0009_reader_06709_0.wav
    "french_speech": M_AILABS,
    "french_data": M_AILABS,  # its name in the third challenge
    "german_speech": M_AILABS,
    "italian_speech": M_AILABS,
    "russian_speech": M_AILABS,
    "spanish_speech": (
        M_AILABS
        + r"|SLR39_(\d+)_\d+_"  # SLR39_100_11_48kHz.wav
        + r"|native-.*-([a-z]+\d+)_"  # SLR39_native-f-Mexico-190-45-62-NA-mgh8170_s120_48kHz.wav
        + r"|_([a-z]{3}_\d{5})_\d+"  # SLR61_es_ar_female_arf_03397_01665251952_48kHz.wav
    ),
    "emotional_speech": r"(?:^|/)(\d{4})_[A-Z]{3}_",  # crema_d/1001_DFA_ANG_XX.wav
    "VocalSet_48kHz_mono": r"((?:fe)?male\d+)",  # vocalset_female7_scales_fast_forte_f7_..._48kHz.wav
    "vctk_wav48_silence_trimmed": r"(?:^|/)([ps]\d+)_",  # p225/p225_001_mic1.wav
}
"""The folders of clean speech, and where the names of their files tell the reader."""

PLACE = re.compile(rf"(?:.*/)?({'|'.join(READERS)})/(.+)")
SKIPPED = {"noise", "noise_fullband", "impulse_responses", "dev_testset", "dev_testset_fullband", "V5_dev_testset"}
SKIPPED |= {"datasets"}  # the same speech at 16 kHz


class DNSChallenge(PublishedCorpus):
    """Clean speech of 48 kHz of the fourth and fifth Deep Noise Suppression Challenge.

    Its folders are looked for at any depth, since they are unpacked to `datasets_fullband/clean_fullband` (4) or to
    `mnt/dnsv5/clean` (5). A file that lies in two copies of such a folder is taken once. The group is the reader.
    Files that do not tell their reader are for training only: German Wikipedia and other small sets, and books of
    M-AILABS by several readers. One who reads there and is named elsewhere may be heard in validation too.
    """

    title = "DNS-Challenge"
    licence = "various, listed in the README of the source"
    source = "github.com/microsoft/DNS-Challenge, download-dns-challenge-5-headset-training.sh"
    layout = f"at any depth, one or more of the folders {', '.join(sorted(READERS))}"

    def entries(self) -> list[Entry]:
        entries: dict[tuple[str, str], Entry] = {}
        for path, stamp in self.audio_paths(SKIPPED).items():
            if place := PLACE.match(path):
                folder, name = place.groups()
                group = reader(folder, name)
                entries.setdefault((folder, name), Entry(path, group, "" if group else "train", stamp=stamp))
        if not entries:
            raise self.incomplete("there is no audio in these folders")
        return list(entries.values())


def reader(folder: str, name: str) -> str:
    """The reader of a file, with the folder in front; empty if the name does not tell.

    Args:
        folder: of clean speech, such as `read_speech`.
        name: path of the file below it.
    """
    match = re.search(READERS[folder], name)
    return f"{folder}/{match[match.lastindex or 0]}" if match else ""
