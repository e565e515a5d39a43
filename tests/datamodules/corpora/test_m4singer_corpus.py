import pytest
from entries import unstamped

from datamodules.corpora import M4Singer
from datamodules.corpus import Entry


def test_phrases_are_of_their_singer_whatever_the_song(lay_out):
    root = lay_out(
        [
            "meta.json",
            "Tenor-2#十年/0000.wav",
            "Alto-1#贝加尔湖畔/0001.wav",
            "Alto-1#贝加尔湖畔/0001.mid",
            "Alto-1#贝加尔湖畔/0001.TextGrid",
            "Alto-1#newboy/0000.wav",
            "Alto-10#newboy/0000.wav",
            "samples/0000.wav",
        ]
    )
    assert unstamped(M4Singer(str(root)).entries()) == [
        Entry("Alto-1#newboy/0000.wav", "Alto-1"),
        Entry("Alto-1#贝加尔湖畔/0001.wav", "Alto-1"),
        Entry("Alto-10#newboy/0000.wav", "Alto-10"),
        Entry("Tenor-2#十年/0000.wav", "Tenor-2"),
    ]


def test_audio_in_other_folders_is_not_m4singer(lay_out):
    with pytest.raises(ValueError, match="no audio in folders <singer>#<song>"):
        M4Singer(str(lay_out(["samples/0000.wav"]))).entries()
