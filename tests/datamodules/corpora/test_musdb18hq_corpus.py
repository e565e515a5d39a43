import pytest
from entries import unstamped

from datamodules.corpora import MUSDB18HQ
from datamodules.corpora.musdb18hq import VALIDATION
from datamodules.corpus import Entry

STEMS = ("bass", "drums", "other", "vocals")
TRAIN = {"A Classic Education - NightOwl": "A Classic Education", "James May - If You Say": "James May"}
TEST = {"AM Contra - Heart Peripheral": "AM Contra", "The Easton Ellises (Baumi) - SDRNR": "The Easton Ellises (Baumi)"}


@pytest.fixture
def musdb(lay_out):
    songs = [f"train/{song}" for song in [*TRAIN, *VALIDATION]] + [f"test/{song}" for song in TEST]
    return lay_out([f"{song}/{stem}.wav" for song in songs for stem in (*STEMS, "mixture")])


def stems(folder, songs, split):
    return [
        Entry(f"{folder}/{song}/{stem}.wav", artist, split) for song, artist in sorted(songs.items()) for stem in STEMS
    ]


def test_each_part_has_the_stems_of_its_songs_and_no_mixture(musdb):
    assert unstamped(MUSDB18HQ(str(musdb)).entries()) == stems("test", TEST, "test")
    assert unstamped(MUSDB18HQ(str(musdb), split="train").entries()) == stems("train", TRAIN, "train")
    validation = {song: song.split(" - ")[0] for song in VALIDATION}
    assert len(validation) == 14
    assert unstamped(MUSDB18HQ(str(musdb), split="validation").entries()) == stems("train", validation, "validation")


def test_missing_songs_of_the_validation_part_are_counted(musdb):
    for stem in (*STEMS, "mixture"):
        (musdb / "train" / "Triviul - Angelsaint" / f"{stem}.wav").unlink()
    with pytest.warns(UserWarning, match="4 of 56 files in its list are missing .*Triviul - Angelsaint/bass.wav"):
        assert len(MUSDB18HQ(str(musdb), split="validation").entries()) == 52


def test_there_are_three_parts(musdb):
    with pytest.raises(ValueError, match="no part 'valid': choose one of train, validation, test"):
        MUSDB18HQ(str(musdb), split="valid")


def test_a_folder_of_stems_without_parts_is_an_error(musdb):
    with pytest.raises(ValueError, match="test is missing"):
        MUSDB18HQ(str(musdb / "train")).entries()
