"""Data modules and corpora, found by class path in YAML."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

MODULES = {"AudioDataModule": "audio", "Corpus": "corpus", "SyntheticDataModule": "synthetic_data"}
"""Where a name is, if not in `corpora`."""


def __getattr__(name: str) -> Any:
    """Names are imported when they are asked for, so that reading an audio file loads no training."""
    if name not in __all__:
        raise AttributeError(f"module 'datamodules' has no attribute {name!r}")
    return getattr(import_module(f"datamodules.{MODULES.get(name, 'corpora')}"), name)
