import warnings

import pytest
from entries import unstamped

from datamodules.corpora import MusicCaps
from datamodules.corpus import Entry

TABLE = """ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id,is_balanced_subset,is_audioset_eval
-0Gj8-vB1q4,30,40,"/m/0140xf,/m/02cjck","['low quality', 'sad']","A ballad song, which is
sad.",4,False,True
zzz_SdAVK79,230,240,/m/0155w,"['guitar song']",Someone plays the guitar.,0,False,False
-1LrH01Ei1w,0,10,/m/04rlf,"['rubab']",A rubab.,0,True,False
"""


@pytest.fixture
def clips(lay_out):
    def make(*paths):
        root = lay_out([*paths, "unlisted.wav", "audio/deep/zzz_SdAVK79.wav"])
        (root / "musiccaps-public.csv").write_text(TABLE, encoding="utf-8")
        return MusicCaps(str(root))

    return make


def test_clips_of_the_list_are_found_by_id_in_any_format_without_a_warning_if_all_are_there(clips):
    corpus = clips("audio/-0Gj8-vB1q4.mp3", "wav/zzz_SdAVK79.wav", "-1LrH01Ei1w.flac", "-1LrH01Ei1w.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unstamped(corpus.entries()) == [
            Entry("-1LrH01Ei1w.flac"),
            Entry("audio/-0Gj8-vB1q4.mp3"),
            Entry("wav/zzz_SdAVK79.wav"),
        ]


def test_a_warning_says_how_many_clips_there_are_and_which(clips):
    corpus = clips("audio/-0Gj8-vB1q4.mp3", "wav/zzz_SdAVK79.wav")
    with pytest.warns(UserWarning, match="2 of 3 clips are there") as caught:
        assert len(corpus.entries()) == 2
    assert [str(warning.message) for warning in caught] == [corpus.describe()]


def test_the_description_depends_on_the_ids_alone(clips, tmp_path):
    def hash_of(corpus):
        return corpus.describe().split()[-1]

    first = hash_of(clips("audio/-0Gj8-vB1q4.mp3"))
    (tmp_path / "audio/-0Gj8-vB1q4.mp3").rename(tmp_path / "-0Gj8-vB1q4.wav")
    assert hash_of(clips()) == first
    assert hash_of(clips("zzz_SdAVK79.wav")) != first
    (tmp_path / "-0Gj8-vB1q4.wav").unlink()
    assert hash_of(clips()) != first


def test_without_audio_or_list_there_is_no_corpus(clips, tmp_path):
    with pytest.raises(ValueError, match="of 3 clips in its list none is there"):
        clips().entries()
    (tmp_path / "musiccaps-public.csv").unlink()
    with pytest.raises(ValueError, match=r"musiccaps-public.csv is missing"):
        MusicCaps(str(tmp_path)).entries()
