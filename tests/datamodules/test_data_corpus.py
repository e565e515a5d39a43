import math
import os
import shutil
import warnings

import numpy as np
import pytest
import soundfile

from datamodules.corpus import AudioFile, Corpus, audio_paths, hold_out, scan

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
        index = scan("music", Corpus(str(tmp_path)), RATE, SAMPLES)
    assert [file.path for file in index.files] == sorted(expected)
    for file in index.files:
        assert (file.rate, file.channels) == expected[file.path]
        assert file.frames == pytest.approx(file.rate, rel=0.06)  # an encoder may pad
        assert file.length(RATE) == file.frames * RATE // file.rate
    assert not index.rejected


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
        index = scan("music", Corpus(str(tmp_path)), RATE, SAMPLES)
    (warning,) = caught
    message = str(warning.message)
    assert "4 of 254 audio files are not used" in message
    assert "2 cannot be decoded (empty.flac, text.wav)" in message
    assert "2 are shorter than a crop (none.wav, short.wav)" in message
    assert index.rejected == {"unreadable": 2, "too_short": 2}
    assert len(index.files) == 250


def test_one_broken_file_is_always_tolerated_and_more_up_to_a_share(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"{number}.wav")
    (tmp_path / "bad1.wav").write_text("broken")
    corpus = Corpus(str(tmp_path))
    with pytest.warns(UserWarning, match="bad1.wav"):
        assert len(scan("music", corpus, RATE, SAMPLES).files) == 4
    (tmp_path / "bad2.wav").write_text("broken")
    with pytest.raises(ValueError, match=r"2 of 6 files are broken: 2 cannot be decoded \(bad1.wav, bad2.wav\)"):
        scan("music", corpus, RATE, SAMPLES)
    with pytest.warns(UserWarning, match="bad2.wav"):
        assert len(scan("music", corpus, RATE, SAMPLES, max_bad=0.34).files) == 4


def test_unusable_folders_are_errors_with_folder_count_and_cure(tmp_path, write_noise):
    with pytest.raises(ValueError, match=r"speech.*missing.*no such folder"):
        scan("speech", Corpus(str(tmp_path / "missing")), RATE, SAMPLES)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"none of 0 audio files can be used.*formats are .*flac"):
        scan("music", Corpus(str(tmp_path)), RATE, SAMPLES)
    write_noise("short.wav", 0.1)
    with pytest.raises(ValueError, match=r"none of 1 audio files.*1 are shorter than a crop \(short.wav\).*0.25 s"):
        scan("music", Corpus(str(tmp_path)), RATE, SAMPLES)


def test_a_corpus_has_a_positive_weight_and_may_lie_at_home(monkeypatch):
    with pytest.raises(ValueError, match="weight 0"):
        Corpus("music", weight=0)
    monkeypatch.setenv("HOME", "/users/me")
    assert Corpus("~/music").path == "/users/me/music"


def test_low_rates_can_be_left_out(tmp_path, write_noise):
    write_noise("low.wav", rate=8_000)
    write_noise("high.wav")
    with pytest.warns(UserWarning, match=r"1 are below the lowest sample rate allowed \(low.wav\)"):
        index = scan("music", Corpus(str(tmp_path)), RATE, SAMPLES, min_sample_rate=RATE)
    assert [file.path for file in index.files] == ["high.wav"]


def test_patterns_choose_files_and_linked_folders_are_entered(tmp_path, write_noise):
    for path in ("songs/a.wav", "songs/b.flac", "drums/c.wav"):
        write_noise(path)
    os.symlink(tmp_path / "drums", tmp_path / "songs" / "linked")
    assert audio_paths(Corpus(str(tmp_path / "songs"))) == ["a.wav", "b.flac", "linked/c.wav"]
    assert audio_paths(Corpus(str(tmp_path), patterns=["songs/*.wav", "drums/*"])) == ["drums/c.wav", "songs/a.wav"]


def test_broken_files_found_in_training_are_named_once_and_stop_it_above_the_share(tmp_path, write_noise):
    for number in range(4):
        write_noise(f"{number}.wav")
    index = scan("music", Corpus(str(tmp_path)), RATE, SAMPLES)
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
    assert index.rejected == {"silent": 5, "truncated": 2, "unreadable": 1}


def test_held_out_files_keep_the_share_and_stay_held_out_as_a_corpus_grows():
    paths = [f"{number}.wav" for number in range(5000)]
    held = hold_out(fake_files(paths), 0.1, SAMPLES, RATE)
    assert abs(len(held) - 500) < 5 * math.sqrt(5000 * 0.1 * 0.9)
    fewer = hold_out(fake_files(paths[:1000]), 0.1, SAMPLES, RATE)
    assert fewer == [file for file in held if file.path in paths[:1000]]


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
def test_at_least_one_file_is_held_out_and_one_is_left(share):
    for count in (2, 3, 10):
        assert 0 < len(hold_out(fake_files(map(str, range(count))), share, SAMPLES, RATE)) < count


def test_only_files_long_enough_for_validation_are_held_out():
    files = fake_files("abc") + fake_files("d", frames=50_000)
    assert [file.path for file in hold_out(files, 0.9, 20_000, RATE)] == ["d"]
    with pytest.raises(ValueError, match=r"3, of which 0 last 1.25 s.*--data.validation"):
        hold_out(files[:3], 0.5, 20_000, RATE)
    with pytest.raises(ValueError, match="1, of which 1"):
        hold_out(files[:1], 0.5, SAMPLES, RATE)
