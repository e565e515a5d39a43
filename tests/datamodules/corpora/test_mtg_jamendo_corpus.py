import pytest
from entries import unstamped

from datamodules.corpora import MTGJamendo
from datamodules.corpus import Entry

TABLE = """TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS
track_1376256\tartist_490499\talbum_161779\t56/1376256.mp3\t166.0\tgenre---easylistening\tmood/theme---corporate
track_0000948\tartist_000087\talbum_000149\t48/948.mp3\t212.7\tmood/theme---background
track_1376257\tartist_490499\talbum_161779\t57/1376257.mp3\t188.1\tgenre---pop\tgenre---rock\tinstrument---piano
"""
ENTRIES = [
    Entry("48/948.mp3", "artist_000087", "", 212.7),
    Entry("56/1376256.mp3", "artist_490499", "", 166.0),
    Entry("57/1376257.mp3", "artist_490499", "", 188.1),
]


@pytest.fixture
def jamendo(lay_out):
    root = lay_out([entry.path for entry in ENTRIES])
    (root / "raw_30s.tsv").write_text(TABLE, encoding="utf-8")
    return root


def test_tracks_have_the_artist_and_duration_of_the_list(jamendo):
    assert unstamped(MTGJamendo(str(jamendo)).entries()) == ENTRIES


def test_the_list_may_lie_in_its_folder_of_the_repository(jamendo):
    (jamendo / "data").mkdir()
    (jamendo / "raw_30s.tsv").rename(jamendo / "data" / "raw_30s.tsv")
    assert unstamped(MTGJamendo(str(jamendo)).entries()) == ENTRIES


def test_without_the_list_the_artists_are_not_known(jamendo):
    (jamendo / "raw_30s.tsv").unlink()
    with pytest.raises(ValueError, match=r"raw_30s.tsv or data/raw_30s.tsv is missing"):
        MTGJamendo(str(jamendo)).entries()


def test_one_file_of_low_quality_refuses_the_folder_and_names_the_right_archive(jamendo):
    (jamendo / "56" / "1376256.low.mp3").touch()
    with pytest.raises(ValueError, match=r"1 files are of .*audio-low \(56/1376256.low.mp3\).*unpack raw_30s/audio"):
        MTGJamendo(str(jamendo)).entries()


def test_a_partial_download_is_used_with_a_warning(jamendo):
    (jamendo / "56" / "1376256.mp3").unlink()
    with pytest.warns(UserWarning, match=r"1 of 3 files in its list are missing \(56/1376256.mp3\)"):
        assert unstamped(MTGJamendo(str(jamendo)).entries()) == [ENTRIES[0], ENTRIES[2]]
