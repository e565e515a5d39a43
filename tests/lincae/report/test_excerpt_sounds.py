"""Sounds of an excerpt: what is written, how loud, and how it is pictured."""

import base64
import io
import json
import math

import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from lincae.report.players import FLOOR, HEIGHT, WIDTH, spectrogram
from lincae.report.sounds import write_excerpt_sounds

RATE, SAMPLES = 8000, 4000


class Scaled(nn.Module):
    """Latents are the waveform; a decode is so many times as loud."""

    margin = 0

    def __init__(self, factor: float, sample_rate: int = RATE) -> None:
        super().__init__()
        self.factor, self.sample_rate = factor, sample_rate

    def encode(self, audio: Tensor) -> Tensor:
        return audio[:, None]

    def sample_noise(self, latents: Tensor, draws, steps: int = 1) -> None:
        return None

    def decode(self, latents: Tensor, noise: None, steps: int = 1) -> Tensor:
        return self.factor * latents[:, 0]


@pytest.fixture
def stems(normal):
    """Two stems whose sum peaks at exactly 0.75."""
    first, second = normal(2, SAMPLES)
    peak = (first + second).abs().max()
    return {"bass": 0.75 * first / peak, "lead-vocals": 0.75 * second / peak}


def listed(folder):
    return json.loads((folder / "sounds.json").read_text())


def read(folder, sound):
    audio, rate = soundfile.read(folder / sound["file"], dtype="float64")
    assert soundfile.info(folder / sound["file"]).subtype == "PCM_16"
    return audio, rate


def test_sounds_are_those_of_the_model_to_16_bits_and_scaled_only_to_fit(tmp_path, stems):
    write_excerpt_sounds(tmp_path, "a track", 12.5, {"exact": Scaled(1.0)}, {"exact": stems})
    found = listed(tmp_path)
    mix = sum(stems.values()).double().numpy()
    assert found["excerpt"] == {"name": "a track", "start": 12.5}
    wanted = {"original": mix, "bass": stems["bass"].numpy(), "lead vocals": stems["lead-vocals"].numpy()}
    decoded = {"reconstruction": mix, "decoded sum": mix, "decoded half": 0.5 * mix, "decoded double": 2 * mix}
    decoded |= {f"{name} by subtraction": wanted[name] for name in ("bass", "lead vocals")}
    for sounds, expected in ((found["original"], wanted), (found["models"]["exact"], decoded)):
        assert [sound["title"] for sound in sounds] == list(expected)
        for sound in sounds:
            audio, rate = read(tmp_path, sound)
            full = np.abs(expected[sound["title"]]).max()
            assert rate == RATE
            assert sound["gain"] == pytest.approx(1 if full < 1 else (1 - 2**-15) / full)
            np.testing.assert_allclose(audio, sound["gain"] * expected[sound["title"]], rtol=0, atol=2**-15)
    doubled = next(sound for sound in found["models"]["exact"] if sound["title"] == "decoded double")
    assert np.abs(read(tmp_path, doubled)[0]).max() == 1 - 2**-15


def test_originals_come_at_the_highest_sample_rate(tmp_path, stems):
    models = {"low": Scaled(1.0, 4000), "high": Scaled(1.0, 16_000), "middle": Scaled(1.0, 8000)}
    write_excerpt_sounds(tmp_path, "a", 0.0, models, dict.fromkeys(models, stems))
    found = listed(tmp_path)
    assert {read(tmp_path, sound)[1] for sound in found["original"]} == {16_000}
    for name, model in models.items():
        assert {read(tmp_path, sound)[1] for sound in found["models"][name]} == {model.sample_rate}


def test_a_clip_has_no_sum_and_nothing_to_subtract(tmp_path, stems):
    write_excerpt_sounds(tmp_path, "a", 0.0, {"m": Scaled(1.0)}, {"m": {"clip": stems["bass"]}})
    found = listed(tmp_path)
    assert [sound["title"] for sound in found["original"]] == ["original"]
    titles = [sound["title"] for sound in found["models"]["m"]]
    assert titles == ["reconstruction", "decoded half", "decoded double"]


def test_silence_stays_silent_and_what_is_not_finite_is_left_out(tmp_path, stems):
    models = {"silent": Scaled(0.0), "diverged": Scaled(math.nan)}
    write_excerpt_sounds(tmp_path, "a", 0.0, models, dict.fromkeys(models, stems))
    found = listed(tmp_path)
    assert found["models"]["diverged"] == []
    for sound in found["models"]["silent"]:
        assert sound["gain"] == 1
        assert not read(tmp_path, sound)[0].any()


def test_names_do_not_leave_the_folder_or_meet(tmp_path, stems):
    models = {name: Scaled(1.0) for name in ("original", "../up", "a/b", "a b", "%")}
    write_excerpt_sounds(tmp_path / "out", "a", 0.0, models, dict.fromkeys(models, stems))
    found = listed(tmp_path / "out")
    files = [sound["file"] for sounds in (found["original"], *found["models"].values()) for sound in sounds]
    assert len(set(files)) == len(files) == 3 + 6 * len(models)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sounds", "sounds.json"}


# ------------------------------------------------------------------------------------------------------- spectrograms


def picture(audio, rate=RATE):
    uri = spectrogram(audio, rate)
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"), validate=True)
    return matplotlib.image.imread(io.BytesIO(content))[..., :3].sum(axis=-1)


@pytest.mark.parametrize("frequency", [200, 1000, 3000])
def test_a_tone_is_a_line_at_its_frequency(frequency):
    time = np.arange(RATE) / RATE
    found = picture(0.1 * np.sin(2 * np.pi * frequency * time))
    assert found.shape == (HEIGHT, WIDTH)
    height = HEIGHT * math.log(frequency / 40) / math.log(RATE / 2 / 40)  # from below
    np.testing.assert_allclose(HEIGHT - 0.5 - found.argmax(axis=0), height, atol=1.5)


def test_time_goes_to_the_right_and_louder_is_brighter():
    time = np.arange(4 * RATE) / RATE
    found = picture(np.sin(2 * np.pi * 1000 * time) * 10 ** (-80 * time / 4 / 20)).max(axis=0)
    assert (np.diff(found) <= 1e-6).all()
    assert found[0] > found[-1] + 1
    assert picture(np.zeros(RATE)).max() == picture(np.full(RATE, 0.1 * 10 ** (FLOOR / 20))).max()


def test_sounds_shorter_than_a_window_have_a_picture_too():
    assert picture(np.ones(10)).shape == (HEIGHT, WIDTH)


def test_every_model_gets_its_own_stems(tmp_path, stems):
    """As they are at its sample rate."""
    own = {"a": stems, "b": {name: torch.zeros_like(stem) for name, stem in stems.items()}}
    write_excerpt_sounds(tmp_path, "a", 0.0, {"a": Scaled(1.0), "b": Scaled(1.0)}, own)
    found = listed(tmp_path)["models"]
    assert read(tmp_path, found["a"][0])[0].any()
    assert not read(tmp_path, found["b"][0])[0].any()
