"""Audio files: what is read in blocks is the whole, and what is written is whole or not there."""

import os
import resource
import signal

import numpy as np
import pytest
import soundfile
import soxr
import torch

from lincae.cli.audio_files import Sound, length_at, read_headers, read_sound, wav_container, write_sound


@pytest.mark.parametrize("rate", [22_050, 48_000])
def test_channels_are_resampled_as_the_whole_file_is(rate, sound, tmp_path):
    path = tmp_path / "a.wav"
    sound("a.wav", 150_000, rate, 3)  # three blocks
    (header,) = read_headers([path])
    found = read_sound(path, header, 44_100)
    expected = soxr.resample(soundfile.read(path, dtype="float32")[0], rate, 44_100, quality="HQ")
    assert found.frames == 150_000
    assert found.audio.shape == (3, length_at(150_000, rate, 44_100))
    assert np.abs(found.audio.T.numpy()[: len(expected)] - expected).max() < 1e-5


def test_an_mp3_that_declares_more_than_it_holds_is_as_long_as_its_sound(sound, tmp_path):
    """Frames of an mp3 count the encoder's delay and padding, which a decoder may leave out."""
    path = tmp_path / "a.mp3"
    sound("a.mp3", 44_100)
    (header,) = read_headers([path])
    found = read_sound(path, header._replace(frames=header.frames + 1000), 44_100)
    assert found.frames == found.audio.shape[-1] == 44_100


def test_a_file_that_lasts_longer_than_its_header_is_refused(sound, tmp_path):
    path = tmp_path / "a.wav"
    sound("a.wav", 5000)
    (header,) = read_headers([path])
    with pytest.raises(ValueError, match=r"a\.wav lasts longer than its header says"):
        read_sound(path, header._replace(frames=4000), 44_100)


def test_a_failing_write_leaves_what_was_there(tmp_path):
    place = tmp_path / "a.wav"
    place.write_text("mine")
    audio = Sound(torch.zeros(1, 300_000), 300_000)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limit[1]))  # as a full disk
    try:
        with pytest.raises(OSError, match=r"a\.wav cannot be written: "):
            write_sound(place, audio, 44_100, 44_100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    with pytest.raises(ValueError, match="NaN or infinite"):
        write_sound(place, Sound(audio.audio / 0, 300_000), 44_100, 44_100)
    assert os.listdir(tmp_path) == ["a.wav"]
    assert place.read_text() == "mine"


def test_long_files_are_of_the_kind_that_holds_them():
    """4 bytes a value, and 32-bit sizes."""
    assert wav_container(2**30 - 2**14) == "WAV"
    assert wav_container(2**30 - 2**14 + 1) == "RF64"
    assert soundfile.check_format("RF64", "FLOAT")
