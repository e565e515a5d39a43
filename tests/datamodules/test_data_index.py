import math
import os
import shutil
import warnings

import numpy as np
import pytest
import soundfile

from datamodules import headers
from datamodules.corpus import Corpus
from datamodules.index import AudioFile, Demands, hold_out, scan, training_part, validation_part
from datamodules.rejection import QUARANTINE, read_quarantine, write_quarantine

RATE, SAMPLES = 16_000, 4_000


def fake_files(paths, frames=10_000):
    return [AudioFile("music", "/data", path, frames, RATE, 1) for path in paths]


def test_scan_reads_formats_rates_and_channels_from_the_headers(tmp_path, write_noise):
    expected = {
        "a/x.wav": (16_000, 1),
        "a/y.flac": (44_100, 2),
        "b/z.ogg": (22_050, 2),
        "b/deep/w.mp3": (48_000, 1),
        "v.aiff": (8_000, 1),
        "six.WAV": (16_000, 6),
    }
    for path, (rate, channels) in expected.items():
        write_noise(path, 1.0, rate, channels)
    with pytest.warns(UserWarning, match="1 of 6 files are upsampled, from 8000 Hz"):
        index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES, max_channels=6))
    assert [file.path for file in index.files] == sorted(expected)
    for file in index.files:
        assert (file.rate, file.channels) == expected[file.path]
        assert file.frames == pytest.approx(file.rate, rel=0.06)  # an encoder may pad
        assert file.length(RATE) == file.frames * RATE // file.rate
    assert not index.unused


def test_one_warning_names_all_unused_files_with_their_reasons(tmp_path, write_noise):
    for number in range(250):
        write_noise(f"good/{number}.wav", 0.3)
    (tmp_path / "text.wav").write_text("<html>not found</html>")
    (tmp_path / "empty.flac").touch()
    write_noise("short.wav", 0.2)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    (tmp_path / "cover.jpg").write_text("no audio")
    shutil.copy(tmp_path / "good/0.wav", tmp_path / "._good.wav")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    (warning,) = caught
    message = str(warning.message)
    assert "4 of 254 audio files are not used" in message
    assert "2 cannot be decoded (empty.flac, text.wav)" in message
    assert "2 are shorter than a crop (none.wav, short.wav)" in message
    assert index.unused == {
        "empty.flac": "unreadable",
        "none.wav": "too_short",
        "short.wav": "too_short",
        "text.wav": "unreadable",
    }
    assert index.found == 254
    assert len(index.files) == 250


def test_one_broken_file_is_always_tolerated_and_more_up_to_a_share(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"{number}.wav")
    (tmp_path / "bad1.wav").write_text("broken")
    corpus = Corpus(str(tmp_path))
    with pytest.warns(UserWarning, match="bad1.wav"):
        assert len(scan("music", corpus, Demands(RATE, SAMPLES)).files) == 4
    (tmp_path / "bad2.wav").write_text("broken")
    with pytest.raises(ValueError, match=r"2 of 6 files are broken: 2 cannot be decoded \(bad1.wav, bad2.wav\)"):
        scan("music", corpus, Demands(RATE, SAMPLES))
    with pytest.warns(UserWarning, match="bad2.wav"):
        assert len(scan("music", corpus, Demands(RATE, SAMPLES, max_bad=0.34)).files) == 4


def test_unusable_folders_are_errors_with_folder_count_and_cure(tmp_path, write_noise):
    with pytest.raises(ValueError, match=r"speech.*missing.*no such folder"):
        scan("speech", Corpus(str(tmp_path / "missing")), Demands(RATE, SAMPLES))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"none of 0 audio files can be used.*formats are .*flac"):
        scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    write_noise("short.wav", 0.1)
    with pytest.raises(ValueError, match=r"none of 1 audio files.*1 are shorter than a crop \(short.wav\).*0.25 s"):
        scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))


def test_low_rates_can_be_left_out(tmp_path, write_noise):
    write_noise("low.wav", rate=8_000)
    write_noise("high.wav")
    with pytest.warns(UserWarning, match=r"1 are below the lowest sample rate allowed \(low.wav\)"):
        index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES, min_sample_rate=RATE))
    assert [file.path for file in index.files] == ["high.wav"]


def test_broken_files_found_in_training_are_named_once_and_stop_it_above_the_share(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"{number}.wav")
    index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    for _ in range(5):
        index.reject_crop("3.wav", "silent")
    with pytest.warns(UserWarning, match="0.wav is truncated"):
        index.reject_crop("0.wav", "truncated")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        index.reject_crop("0.wav", "truncated")
    with (
        pytest.warns(UserWarning, match="1.wav is unreadable"),
        pytest.raises(ValueError, match=r"2 of 4 files are broken.*max_bad"),
    ):
        index.reject_crop("1.wav", "unreadable")
    assert index.crops == {"silent": 5, "truncated": 2, "unreadable": 1}
    assert index.broken == {"0.wav": "truncated", "1.wav": "unreadable"}


def test_held_out_files_keep_the_share_and_stay_held_out_as_a_corpus_grows():
    paths = [f"{number}.wav" for number in range(5000)]
    training, held = hold_out(fake_files(paths), 0.1, SAMPLES, RATE)
    assert sorted(training + held) == sorted(fake_files(paths))
    assert abs(len(held) - 500) < 5 * math.sqrt(5000 * 0.1 * 0.9)
    _, fewer = hold_out(fake_files(paths[:1000]), 0.1, SAMPLES, RATE)
    assert fewer == [file for file in held if file.path in paths[:1000]]


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
def test_at_least_one_file_is_held_out_and_one_is_left(share):
    for count in (2, 3, 10):
        training, held = hold_out(fake_files(map(str, range(count))), share, SAMPLES, RATE)
        assert training
        assert held


def test_only_files_long_enough_for_validation_are_held_out():
    files = fake_files("abc") + fake_files("d", frames=50_000)
    training, held = hold_out(files, 0.9, 20_000, RATE)
    assert [file.path for file in held] == ["d"]
    assert [file.path for file in training] == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"3 of 3 groups, of which 0 have one that lasts 1.25 s.*--data.validation"):
        hold_out(files[:3], 0.5, 20_000, RATE)
    with pytest.raises(ValueError, match="1 of 1 groups, of which 1"):
        hold_out(files[:1], 0.5, SAMPLES, RATE)


def of(group, path, split="", frames=10_000):
    return AudioFile("music", "/data", path, frames, RATE, 1, group, split)


def test_a_group_is_never_on_both_sides():
    files = [of(f"artist {number % 40}", f"{number}.wav") for number in range(400)]
    training, held = hold_out(files, 0.3, SAMPLES, RATE)
    singers = [{file.group for file in side} for side in (training, held)]
    assert not singers[0] & singers[1]
    assert len(training) + len(held) == 400
    assert len(held) == 10 * len(singers[1])


def test_files_too_short_to_validate_are_lost_if_their_group_is_held_out():
    files = [of("a", "a.wav"), of("a", "short.wav", frames=5_000), of("b", "b.wav", frames=5_000)]
    training, held = hold_out(files, 0.5, SAMPLES + 3_000, RATE)
    assert [file.path for file in held] == ["a.wav"]
    assert [file.path for file in training] == ["b.wav"]


def test_a_corpus_with_parts_of_its_own_keeps_them_and_its_test_part_is_never_used():
    files = [of("", f"{split}{number}.wav", split) for split in ("train", "validation", "test") for number in range(3)]
    training, held = hold_out(files, 0.5, SAMPLES, RATE)
    assert {file.split for file in training} == {"train"}
    assert {file.split for file in held} == {"validation"}
    assert training_part(files) == training
    assert validation_part(files) == held
    assert validation_part(files[:3]) == files[:3]


def test_a_quarantine_list_holds_whatever_names_files_have(tmp_path):
    bad = {name: "unreadable" for name in ("Icon\r.wav", "a\nb.wav", 'tab\t"q".wav', "\udcff.wav", " x.wav", "'#.wav")}
    write_quarantine(tmp_path / QUARANTINE, bad)
    assert read_quarantine(tmp_path / QUARANTINE) == bad


def test_quarantined_files_are_left_out_and_not_called_broken(tmp_path, write_noise):
    for number in range(3):
        write_noise(f"{number}.wav")
    (tmp_path / "bad.wav").write_text("broken")
    write_quarantine(tmp_path / QUARANTINE, {"bad.wav": "unreadable", "1.wav": "not_finite"})
    with pytest.warns(UserWarning, match=r"2 are on the quarantine list \(1.wav, bad.wav\)"):
        index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES, max_bad=0))
    assert [file.path for file in index.files] == ["0.wav", "2.wav"]
    index.reject_crop("2.wav", "truncated")  # the one that is always tolerated

    elsewhere = tmp_path / "list.tsv"
    write_quarantine(elsewhere, {"0.wav": "truncated"})
    with pytest.warns(UserWarning, match="0.wav"):
        index = scan("music", Corpus(str(tmp_path), quarantine=str(elsewhere)), Demands(RATE, SAMPLES))
    assert [file.path for file in index.files] == ["1.wav", "2.wav"]
    with pytest.raises(ValueError, match=r"no\.tsv is missing"):
        scan("music", Corpus(str(tmp_path), quarantine=str(tmp_path / "no.tsv")), Demands(RATE, SAMPLES))
    elsewhere.write_text("anything")
    with pytest.raises(ValueError, match=r"list\.tsv is not a quarantine list"):
        scan("music", Corpus(str(tmp_path), quarantine=str(elsewhere)), Demands(RATE, SAMPLES))


def test_channels_beyond_the_allowed_are_left_out(tmp_path, write_noise):
    write_noise("two.wav", channels=2)
    write_noise("six.wav", channels=6)
    with pytest.warns(UserWarning, match=r"1 have more channels than allowed \(six.wav\)"):
        index = scan("music", Corpus(str(tmp_path)), Demands(RATE, SAMPLES))
    assert [file.path for file in index.files] == ["two.wav"]


class Promising(Corpus):
    """Knows how long its files should be."""

    def entries(self):
        return [entry._replace(seconds=seconds) for entry, seconds in zip(super().entries(), (1.0, 3.0), strict=True)]


def test_files_that_do_not_last_as_long_as_their_corpus_says_are_broken(tmp_path, write_noise):
    write_noise("a.wav", 1.0)
    write_noise("b.wav", 1.0)
    with pytest.warns(UserWarning, match="b.wav"):
        index = scan("music", Promising(str(tmp_path)), Demands(RATE, SAMPLES))
    assert index.unused == {"b.wav": "wrong_length"}


def test_a_second_scan_opens_only_files_that_have_changed(tmp_path, write_noise, monkeypatch):
    for name in "abc":
        write_noise(f"music/{name}.wav")
    opened = []
    read_header = headers.read_header
    monkeypatch.setattr(headers, "read_header", lambda location: opened.append(location) or read_header(location))
    corpus = Corpus(str(tmp_path / "music"))
    first = scan("music", corpus, Demands(RATE, SAMPLES))
    assert len(opened) == 3
    assert scan("music", corpus, Demands(RATE, SAMPLES)).files == first.files
    assert len(opened) == 3
    write_noise("music/b.wav", 2.0)
    (tmp_path / "music/c.wav").write_text("broken")
    with pytest.warns(UserWarning, match="c.wav"):
        second = scan("music", corpus, Demands(RATE, SAMPLES))
    assert [os.path.basename(location) for location in dict.fromkeys(opened[3:])] == ["b.wav", "c.wav"]
    assert [file.frames for file in second.files] == [16_000, 32_000]
    headers.cache_file(str(tmp_path / "music")).write_text("damaged")
    with pytest.warns(UserWarning, match="c.wav"):
        assert scan("music", corpus, Demands(RATE, SAMPLES)).files == second.files
