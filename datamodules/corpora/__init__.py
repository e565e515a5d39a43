"""Published corpora in the layouts in which they are distributed, found by class path in YAML."""

from datamodules.corpora.dns_challenge import DNSChallenge
from datamodules.corpora.egmd import EGMD
from datamodules.corpora.m4singer import M4Singer
from datamodules.corpora.moisesdb import MoisesDB
from datamodules.corpora.mtg_jamendo import MTGJamendo
from datamodules.corpora.musdb18hq import MUSDB18HQ
from datamodules.corpora.musiccaps import MusicCaps

__all__ = ["EGMD", "MUSDB18HQ", "DNSChallenge", "M4Singer", "MTGJamendo", "MoisesDB", "MusicCaps"]
