"""Data modules and corpora, found by class path in YAML."""

from datamodules.audio import AudioDataModule
from datamodules.corpora import EGMD, MUSDB18HQ, DNSChallenge, M4Singer, MoisesDB, MTGJamendo, MusicCaps
from datamodules.corpus import Corpus
from datamodules.synthetic_data import SyntheticDataModule

__all__ = [
    "EGMD",
    "MUSDB18HQ",
    "AudioDataModule",
    "Corpus",
    "DNSChallenge",
    "M4Singer",
    "MTGJamendo",
    "MoisesDB",
    "MusicCaps",
    "SyntheticDataModule",
]
