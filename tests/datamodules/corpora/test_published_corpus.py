import errno
import os
import re

import pytest
from entries import unstamped

from datamodules import corpora
from datamodules.corpora.published import PublishedCorpus
from datamodules.corpus import Entry


@pytest.mark.parametrize("name", corpora.__all__)
@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_wrong_folder_is_an_error_that_says_what_was_expected_and_where_to_get_it(tmp_path, name, folder):
    (tmp_path / "empty").mkdir()
    corpus = getattr(corpora, name)(str(tmp_path / folder))
    with pytest.raises(ValueError, match=re.escape(f"{corpus.title} is not complete at {tmp_path / folder}")) as error:
        corpus.entries()
    for part in (corpus.title, corpus.layout, corpus.source, corpus.licence):
        assert part
        assert part in str(error.value)


def test_audio_is_found_at_any_depth_through_links_and_nothing_hidden(lay_out):
    root = lay_out(
        ["b/x.FLAC", "b/._x.flac", "a/deep/y.wav", ".cache/z.wav", "b/x.mid", "noise/n.wav", "a/noise/n.wav"]
    )
    os.symlink(root / "b", root / "linked")
    assert PublishedCorpus(str(root)).audio_paths({"noise"}).keys() == {"a/deep/y.wav", "b/x.FLAC"}


def test_a_folder_that_cannot_be_read_is_an_error(lay_out, monkeypatch):
    root = lay_out(["a/x.wav", "b/y.wav"])
    scandir = os.scandir

    def closed(path):
        if path == str(root / "a"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match=re.escape(str(root / "a"))):
        PublishedCorpus(str(root)).audio_paths()


def test_the_missing_files_of_a_list_are_counted_and_some_named(lay_out):
    listed = [Entry(f"{number}.wav") for number in (3, 1, 0, 2, 4)]
    corpus = PublishedCorpus(str(lay_out([entry.path for entry in listed])))
    assert unstamped(corpus.present(listed)) == sorted(listed)
    for entry in listed[:4]:
        os.unlink(os.path.join(corpus.path, entry.path))
    with pytest.warns(UserWarning, match=r"4 of 5 files in its list are missing \(0.wav, 1.wav, 2.wav, ...\)"):
        assert unstamped(corpus.present(listed)) == [Entry("4.wav")]
    os.unlink(os.path.join(corpus.path, "4.wav"))
    with pytest.raises(ValueError, match=r"of 5 files in its list none is there"):
        corpus.present(listed)
    with pytest.raises(ValueError, match=r"of 0 files in its list none is there"):
        corpus.present([])
