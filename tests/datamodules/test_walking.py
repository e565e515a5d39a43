import errno
import os
import re
import resource
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from datamodules import headers, inspection
from datamodules.corpus import Corpus
from datamodules.index import Demands, hold_out, scan
from datamodules.reader import Crop, CropReader

RATE, SAMPLES = 16_000, 4_000
DEMANDS = Demands(RATE, SAMPLES)

pytestmark = pytest.mark.filterwarnings("ignore:corpus")


@pytest.fixture
def music(tmp_path, write_noise):
    """Six files of three artists."""
    for artist in "abc":
        for number in range(2):
            write_noise(f"music/{artist}/{number}.wav", 0.5, seed=ord(artist) + number)
    return tmp_path / "music"


def paths(folder, **settings):
    return [entry.path for entry in Corpus(str(folder), **settings).entries()]


SIX = [f"{artist}/{number}.wav" for artist in "abc" for number in range(2)]


def test_links_to_folders_neither_multiply_files_nor_go_on_forever(music):
    os.symlink("..", music / "a" / "up")
    assert paths(music) == SIX
    os.symlink("..", music / "b" / "up")
    os.symlink(music / "c", music / "0 first in the order of names")
    os.symlink("0.wav", music / "c" / "00 also first.wav")
    assert paths(music) == SIX
    assert paths(music / "a") == ["0.wav", "1.wav", *(f"up/{path}" for path in SIX[2:])]
    assert paths(music, patterns=["c/*"]) == ["c/0.wav", "c/1.wav"]


def test_of_several_links_the_first_by_name_counts_and_hard_links_are_one_file(music, tmp_path, write_noise):
    write_noise("elsewhere/x.wav")
    for name in ("two", "one"):
        os.symlink(tmp_path / "elsewhere", music / name)
    os.link(music / "b" / "0.wav", music / "b" / "hard.wav")
    assert paths(music) == [*SIX, "one/x.wav"]


def test_a_linked_artist_is_on_one_side_of_a_split(music, write_noise):
    for number in range(20):
        write_noise(f"music/{number}/x.wav", 0.5, seed=number)
        os.symlink(music / str(number), music / f"alias {number}")
    training, held = hold_out(scan("music", Corpus(str(music), group_depth=1), DEMANDS).files, 0.5, SAMPLES, RATE)
    sides = [{os.path.realpath(file.location) for file in side} for side in (training, held)]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_hidden_files_and_folders_are_passed_over(music):
    (music / "a" / "._0.wav").write_text("resource fork")
    (music / ".trash").mkdir()
    (music / ".trash" / "x.wav").touch()
    assert paths(music) == SIX


def test_a_folder_that_cannot_be_read_is_an_error_with_a_cure(music, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if os.fspath(path).rstrip("/") == str(music / "b"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match=rf"readable.*{re.escape(str(music / 'b'))}"):
        scan("music", Corpus(str(music)), DEMANDS)
    assert paths(music, patterns=["a/*"]) == ["a/0.wav", "a/1.wav"]


def test_links_that_lead_nowhere_are_counted_if_named_as_audio_and_else_are_errors(music):
    os.symlink("/nowhere/x.wav", music / "dead.wav")
    os.symlink("/nowhere/x.jpg", music / "cover.jpg")
    index = scan("music", Corpus(str(music)), DEMANDS)
    assert index.unused == {"dead.wav": "missing"}
    os.symlink("/unmounted", music / "disk")
    with pytest.raises(FileNotFoundError, match=r"music/disk"):
        scan("music", Corpus(str(music)), DEMANDS)


def test_patterns_are_those_of_glob(tmp_path):
    import glob

    for path in ("x.wav", "a/x.wav", "a/y.flac", "a/b/x.wav", "a/b/c/mixture.wav", "b/[1].wav", "b/drums.wav"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for pattern in (
        *("**/*", "*", "*/*", "**/*/*", "a/**", "a/**/*.wav", "**/b/*", "*/[!m]*.wav", "**/[!m]*.wav", "*/b/x.*", "a"),
        *("**/**/x.wav", "?/x.wav", "b/[[]1].wav", "**", "a/b/c/mixture.wav", "./a/*.wav"),
    ):
        found = {
            os.path.normpath(path)
            for path in glob.glob(pattern, root_dir=tmp_path, recursive=True)
            if (tmp_path / path).is_file()
        }
        assert set(paths(tmp_path, patterns=[pattern])) == found, pattern


# Formats


def test_audio_of_formats_that_cannot_be_read_is_counted_and_named_and_is_not_broken(music):
    for number, suffix in enumerate(("m4a", "AAC", "webm", "wma", "mka", "mp4")):
        (music / f"{number}.{suffix}").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.warns(UserWarning, match=r"6 of 12 .*0\.m4a.*") as caught:
        index = scan("music", Corpus(str(music)), Demands(RATE, SAMPLES, max_bad=0))
    assert "ffmpeg" in str(caught[0].message)
    assert set(index.unused.values()) == {"format"}
    assert index.left_out == {"format": 6}
    assert len(index.files) == 6


def test_the_content_decides_whether_a_format_can_be_read(music, tmp_path):
    soundfile.write(tmp_path / "x.mp3", 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    os.rename(tmp_path / "x.mp3", music / "x.mp2")
    assert "x.mp2" in [file.path for file in scan("music", Corpus(str(music)), DEMANDS).files]


# What the operating system refuses


@pytest.fixture
def no_more_files(monkeypatch):
    """Makes every further opening of a file fail, for as long as the test wants."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))

    def release():
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    yield SimpleNamespace(limit=limit, release=release)
    release()


def test_too_many_open_files_is_an_error_at_the_scan_and_nothing_is_remembered(music, no_more_files, monkeypatch):
    corpus = Corpus(str(music))
    with monkeypatch.context() as patch:
        patch.setattr(headers, "load", lambda _: no_more_files.limit() or {})
        with pytest.raises(OSError, match=r"ulimit.*a/0\.wav") as error:
            scan("music", corpus, DEMANDS)
        no_more_files.release()
    assert error.value.errno == errno.EMFILE
    assert len(scan("music", corpus, DEMANDS).files) == 6


def test_too_many_open_files_is_no_bad_crop(music, no_more_files):
    file = scan("music", Corpus(str(music)), DEMANDS).files[0]
    no_more_files.limit()
    try:
        with pytest.raises(OSError, match=r"ulimit.*a/0\.wav") as error:
            CropReader(RATE, SAMPLES).read([Crop(file, 0)], np.empty((1, SAMPLES), np.float32))
    finally:
        no_more_files.release()
    assert error.value.errno == errno.EMFILE


def test_an_error_that_passes_makes_no_file_bad(music, monkeypatch):
    """As of a network disk that was away for a moment: libsndfile reports it like a bad file."""
    real, failures = soundfile.SoundFile, []

    def flaky(location, *rest):
        if len(failures) < 1:
            failures.append(location)
            raise soundfile.LibsndfileError(2)
        return real(location, *rest)

    monkeypatch.setattr(inspection.soundfile, "SoundFile", flaky)
    assert len(scan("music", Corpus(str(music)), DEMANDS).files) == 6
    assert failures


def test_a_file_that_becomes_unreadable_to_the_system_is_an_error_and_later_usable(music, monkeypatch):
    """As of mode 000: libsndfile and Python are both refused."""
    real_open, real_sound = open, soundfile.SoundFile
    closed = str(music / "b" / "1.wav")

    def refuse(location, *rest, **named):
        if os.fsdecode(location) == closed:
            raise PermissionError(errno.EACCES, "Permission denied", closed)
        return real_open(location, *rest, **named)

    def refused_sound(location, *rest):
        if os.fsdecode(location) == closed:
            raise soundfile.LibsndfileError(2, prefix="Error opening: ")
        return real_sound(location, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        patch.setattr(inspection.soundfile, "SoundFile", refused_sound)
        with pytest.raises(PermissionError, match=re.escape(closed)):
            scan("music", Corpus(str(music)), DEMANDS)
    assert len(scan("music", Corpus(str(music)), DEMANDS).files) == 6


# What is remembered


def test_headers_are_read_again_by_another_libsndfile_or_by_other_rules(music, monkeypatch):
    opened = []
    read_header = headers.read_header
    monkeypatch.setattr(headers, "read_header", lambda location: opened.append(location) or read_header(location))

    def count():
        opened.clear()
        scan("music", Corpus(str(music)), DEMANDS)
        return len(opened)

    assert [count(), count()] == [6, 0]
    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "__libsndfile_version__", "9.9.9")
        assert [count(), count()] == [6, 0]
    rules = music.parent / "rules.py"
    rules.write_text("changed")
    monkeypatch.setattr(inspection, "__file__", str(rules))
    assert [count(), count()] == [6, 0]
