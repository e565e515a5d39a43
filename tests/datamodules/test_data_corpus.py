import os

import pytest

from datamodules.corpus import Corpus


def test_a_corpus_has_a_positive_weight_and_may_lie_at_home(monkeypatch):
    with pytest.raises(ValueError, match="weight 0"):
        Corpus("music", weight=0)
    monkeypatch.setenv("HOME", "/users/me")
    assert Corpus("~/music").path == "/users/me/music"


def test_patterns_choose_files_and_linked_folders_are_entered(tmp_path, write_noise):
    for path in ("songs/a.wav", "songs/b.flac", "drums/c.wav"):
        write_noise(path)
    os.symlink(tmp_path / "drums", tmp_path / "songs" / "linked")
    assert list(Corpus(str(tmp_path / "songs")).audio_paths()) == ["a.wav", "b.flac", "linked/c.wav"]
    corpus = Corpus(str(tmp_path), patterns=["songs/*.wav", "drums/*"])
    assert list(corpus.audio_paths()) == ["drums/c.wav", "songs/a.wav"]


def test_relative_paths_begin_at_a_root_which_may_be_a_url(monkeypatch):
    monkeypatch.setenv("HOME", "/users/me")
    corpus = Corpus("music", weight=0.5)
    assert corpus.below(None).path == "music"
    assert corpus.below("~/data").path == "/users/me/data/music"
    assert corpus.below("s3://bucket/shards").path == "s3://bucket/shards/music"
    assert corpus.below("/data").weight == 0.5
    assert corpus.path == "music"
    for fixed in ("/elsewhere", "gs://bucket/music"):
        assert Corpus(fixed).below("/data").path == fixed


def test_folders_at_a_depth_are_groups(tmp_path, write_noise):
    for path in ("artist/album/a.wav", "artist/b.wav", "c.wav"):
        write_noise(path)
    groups = {
        depth: [entry.group for entry in Corpus(str(tmp_path), group_depth=depth).entries()] for depth in range(3)
    }
    assert groups == {0: ["", "", ""], 1: ["artist", "artist", ""], 2: ["artist/album", "", ""]}


def test_a_missing_folder_is_named():
    with pytest.raises(ValueError, match=r"/nowhere: no such folder. Correct the path"):
        Corpus("/nowhere").entries()
