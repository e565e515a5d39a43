import json

import pytest
from entries import unstamped

from datamodules.corpora import MoisesDB
from datamodules.corpus import Entry


def track(name, kind, extension="wav"):
    return {"id": name, "trackType": kind, "extension": extension, "has_bleed": False}


SONGS = {
    "9b0c": {
        "song": "Jóga",
        "artist": "Björk",
        "stems": [
            {"stemName": "drums", "tracks": [track("k", "kick drum"), track("s", "snare drum")]},
            {"stemName": "other", "tracks": [track("c", "click track"), track("f", "fx")]},
        ],
    },
    "1a2b": {
        "song": "Song",
        "artist": "Artist",
        "stems": [
            {"stemName": "bass", "tracks": [track("b", "bass_guitar", "flac"), track("m", "bass_guitar", "mid")]},
            {"stemName": "other", "tracks": [track("c", "click_track")]},
        ],
    },
    "77ff": {"song": "Untitled", "stems": [{"stemName": "vocals", "tracks": [track("v", "lead female singer")]}]},
}
ENTRIES = [
    Entry("1a2b/bass/b.flac", "Artist"),
    Entry("77ff/vocals/v.wav", "unknown artist"),
    Entry("9b0c/drums/k.wav", "Björk"),
    Entry("9b0c/drums/s.wav", "Björk"),
    Entry("9b0c/other/f.wav", "Björk"),
]


@pytest.fixture
def songs(lay_out):
    """The folder with all the songs, in the layout of the archive."""
    paths = [
        f"moisesdb_v0.1/{song}/{stem['stemName']}/{track['id']}.{track['extension']}"
        for song, data in SONGS.items()
        for stem in data["stems"]
        for track in stem["tracks"]
    ]
    folder = lay_out([*paths, "moisesdb_v0.1/readme.txt"]) / "moisesdb_v0.1"
    for song, data in SONGS.items():
        (folder / song / "data.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return folder


def test_recordings_are_of_their_artist_without_click_tracks_and_midi(songs):
    assert unstamped(MoisesDB(str(songs)).entries()) == ENTRIES


def test_the_folder_may_be_the_one_around_the_songs_folder(songs):
    within = [entry._replace(path=f"moisesdb_v0.1/{entry.path}") for entry in ENTRIES]
    assert unstamped(MoisesDB(str(songs.parent)).entries()) == within


def test_missing_recordings_are_counted(songs):
    (songs / "9b0c" / "drums" / "k.wav").unlink()
    with pytest.warns(UserWarning, match=r"1 of 5 files in its list are missing \(9b0c/drums/k.wav\)"):
        assert len(MoisesDB(str(songs)).entries()) == 4


@pytest.mark.parametrize("content", ['{"artist": "A", "ste', '{"artist": "A"}', "[]"])
def test_a_damaged_description_is_an_error_that_names_it(songs, content):
    (songs / "77ff" / "data.json").write_text(content)
    with pytest.raises(ValueError, match=r"77ff/data.json cannot be read .*Unpack this song again"):
        MoisesDB(str(songs)).entries()
