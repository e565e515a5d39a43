import numpy as np
import pytest
import soundfile
import soxr

from datamodules.index import AudioFile
from datamodules.reader import Crop, CropReader, rms
from datamodules.rejection import BadAudioError

SAMPLES = 2_000


def audio_file(root, path):
    info = soundfile.info(root / path)
    return AudioFile("music", str(root), path, info.frames, info.samplerate, info.channels)


@pytest.mark.parametrize("path", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_a_crop_is_a_slice_of_the_decoded_file(tmp_path, write_noise, path, channels):
    channels = min(channels, 2) if path == "a.mp3" else channels
    write_noise(path, 1.0, 16_000, channels)
    whole, _ = soundfile.read(tmp_path / path, always_2d=True)
    reader, file = CropReader(16_000, SAMPLES), audio_file(tmp_path, path)
    for start in (0, 777, file.frames - SAMPLES):
        crop = reader(Crop(file, start))
        assert crop.dtype == np.float32
        assert crop.shape == (SAMPLES,)
        np.testing.assert_allclose(crop, whole[start : start + SAMPLES].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_099, 48_000, 96_000, 192_000])
def test_a_resampled_crop_is_a_slice_of_the_resampled_file(tmp_path, write_noise, rate):
    noise = write_noise("a.wav", 1.3, rate)
    whole = soxr.resample(noise[:, 0], rate, 44_100, quality="HQ")
    reader, file = CropReader(44_100, SAMPLES), audio_file(tmp_path, "a.wav")
    for start in (0, 1, 300, 12_345, 33_000, file.length(44_100) - SAMPLES):
        error = reader(Crop(file, start)) - whole[start : start + SAMPLES]
        assert np.abs(error).max() < 1e-6, start  # of noise at rms 0.1: -100 dB


def test_only_the_crop_and_a_margin_are_decoded(tmp_path, write_noise, monkeypatch):
    write_noise("a.wav", 20.0, 48_000)
    decoded = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(soundfile.SoundFile, "read", lambda *a, **k: decoded.append(read(*a, **k)) or decoded[-1])
    CropReader(44_100, SAMPLES)(Crop(audio_file(tmp_path, "a.wav"), 400_000))
    (frames,) = decoded
    assert len(frames) < SAMPLES * 48 / 44.1 + 1000


@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 16_000), (2, 22_050)])
def test_stereo_crops_are_both_channels_each_as_it_would_be_alone(tmp_path, write_noise, channels, rate):
    noise = write_noise("a.wav", rate=rate, channels=channels)
    crop = CropReader(16_000, SAMPLES, "stereo")(Crop(audio_file(tmp_path, "a.wav"), 300))
    sides = [soxr.resample(noise[:, side], rate, 16_000, quality="HQ") for side in (0, -1)]
    assert crop.shape == (2, SAMPLES)
    np.testing.assert_allclose(crop, [side[300 : 300 + SAMPLES] for side in sides], atol=1e-6)


def test_one_channel_can_be_chosen(tmp_path, write_noise):
    noise = write_noise("a.wav", channels=2)
    file = audio_file(tmp_path, "a.wav")
    left, right = noise[:SAMPLES].T
    assert np.array_equal(CropReader(16_000, SAMPLES, "left")(Crop(file, 0, draw=0.9)), left)
    assert np.array_equal(CropReader(16_000, SAMPLES, "random")(Crop(file, 0, draw=0.49)), left)
    assert np.array_equal(CropReader(16_000, SAMPLES, "random")(Crop(file, 0, draw=0.5)), right)


@pytest.mark.parametrize(("path", "reasons"), [("a.flac", {"unreadable", "truncated"}), ("a.wav", {"truncated"})])
def test_a_file_cut_off_after_the_scan_is_found_by_the_crops_behind_the_cut(tmp_path, write_noise, path, reasons):
    write_noise(path, 4.0)
    reader, file = CropReader(16_000, SAMPLES), audio_file(tmp_path, path)
    first = reader(Crop(file, 0))
    content = (tmp_path / path).read_bytes()
    (tmp_path / path).write_bytes(content[: len(content) // 2])
    assert np.array_equal(reader(Crop(file, 0)), first)
    for start in (31_000, file.frames - SAMPLES):
        with pytest.raises(BadAudioError) as error:
            reader(Crop(file, start))
        assert error.value.reason in reasons | {"unreadable"}


def test_samples_that_are_not_finite_are_refused(tmp_path, write_noise):
    noise = write_noise("a.wav")
    file = audio_file(tmp_path, "a.wav")
    for value in (np.nan, np.inf):
        noise[5000] = value
        soundfile.write(tmp_path / "a.wav", noise, 16_000, subtype="FLOAT")
        with pytest.raises(BadAudioError, match="not_finite"):
            CropReader(16_000, SAMPLES)(Crop(file, 4000))


def test_files_that_are_gone_since_the_scan_are_refused(tmp_path):
    with pytest.raises(BadAudioError, match="missing"):
        CropReader(16_000, SAMPLES)(Crop(AudioFile("music", str(tmp_path), "gone.wav", 9999, 16_000, 1), 0))


def test_rms_of_a_sine_is_its_amplitude_over_root_two():
    sine = 0.5 * np.sin(2 * np.pi * np.arange(1000) / 100).astype(np.float32)
    assert rms(sine) == pytest.approx(0.5 / np.sqrt(2), rel=1e-6)
