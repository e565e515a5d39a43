"""Data modules, found by class path in YAML."""

from datamodules.audio import AudioDataModule
from datamodules.corpus import Corpus
from datamodules.synthetic_data import SyntheticDataModule

__all__ = ["AudioDataModule", "Corpus", "SyntheticDataModule"]
