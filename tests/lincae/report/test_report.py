"""What a finished training shows: figures from a log, tables, plots and sounds."""

from io import StringIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile
import torch
from matplotlib.colors import to_rgb
from rich.console import Console
from torch import Tensor, nn

from lincae.evaluation import NOISE_SEED
from lincae.report.plots import COLOURS, plot_training
from lincae.report.runs import last_curve, last_figures, read_history
from lincae.report.sounds import latent_arithmetic, write_sounds
from lincae.report.tables import comparison
from lincae.streams import Draws

# ---------------------------------------------------------------------------------------------------------------- runs

LOG = """\
step,epoch,train/loss,val/encoder/additivity_error,val/separation/bass_mss_all,\
val/decoder/homogeneity_mss,val/decoder/homogeneity_mss/a2.00,val/decoder/homogeneity_mss/a0.50,\
val/decoder/homogeneity_mss/a1.00,val/encoder/homogeneity_error/a0.50,val/shuffled/mss
0,0,4.0,,,,,,,,
4,0,2.5,,,,,,,,
4,0,,0.75,3.0,1.5,1.25,1.75,0.0,0.125,6.0
9,1,2.0,,,,,,,,
9,1,,0.25,2.0,0.5,0.375,0.625,0.0,,nan
"""


@pytest.fixture
def history(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text(LOG)
    return read_history(log)


def test_a_history_counts_the_steps_taken_and_skips_what_was_not_logged(history):
    assert history["train/loss"] == [(1, 4.0), (5, 2.5), (10, 2.0)]
    assert history["val/encoder/additivity_error"] == [(5, 0.75), (10, 0.25)]
    assert history["val/encoder/homogeneity_error/a0.50"] == [(5, 0.125)]
    assert "step" not in history


def test_the_last_figures_are_those_of_validation_without_points_of_curves(history):
    figures = last_figures(history)
    assert np.isnan(figures.pop("shuffled/mss"))
    assert figures == {
        "encoder/additivity_error": 0.25,
        "separation/bass_mss_all": 2.0,
        "decoder/homogeneity_mss": 0.5,
    }


@pytest.mark.parametrize(
    "name",
    [
        "encoder/additivity_error",
        "decoder/additivity_self_snr",
        "separation/bass_mss_all",
        "separation/acoustic_guitar_mss",
        "separation/a_mss",
        "reconstruction_floor/mss",
        "shuffled/mss",
    ],
)
def test_ordinary_names_are_no_points_of_curves(name):
    assert last_figures({f"val/{name}": [(1, 2.0)]}) == {name: 2.0}


@pytest.mark.parametrize("figure", ["decoder/homogeneity_mss", "decoder/homogeneity_snr", "encoder/homogeneity_error"])
@pytest.mark.parametrize("gain", [0.1, 1.0, 1.1, 12.0])
def test_every_point_of_a_curve_is_left_out_of_the_figures(figure, gain):
    assert last_figures({f"val/{figure}/a{gain:.2f}": [(1, 2.0)]}) == {}


def test_the_last_curve_is_in_order_of_gain(history):
    assert list(last_curve(history, "decoder/homogeneity_mss").items()) == [(0.5, 0.625), (1.0, 0.0), (2.0, 0.375)]
    assert last_curve(history, "encoder/homogeneity_error") == {0.5: 0.125}
    assert last_curve(history, "encoder/additivity_error") == {}


# --------------------------------------------------------------------------------------------------------------- tables


def test_a_table_rounds_numbers_aligns_them_and_shows_a_dash_for_what_is_missing():
    models = {"one": {"mss": 0.126, "snr": -12.5}, "another": {"mss": 100.0}}
    file = StringIO()
    table = comparison(models, [("mss", "MSS ↓"), ("snr", "SNR ↑"), ("none", "nobody's")], "a title")
    Console(width=100, file=file).print(table)
    lines = file.getvalue().splitlines()
    assert lines[0].strip() == "a title"
    rows = [line.strip("│┃").replace("┃", "│").split("│") for line in lines if line[:1] in "│┃"]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["figure", "one", "another"],
        ["MSS ↓", "0.13", "100.00"],
        ["SNR ↑", "-12.50", "-"],
        ["nobody's", "-", "-"],
    ]
    assert len({tuple(map(len, row)) for row in rows}) == 1
    for row in rows:
        for cell in row[1:]:
            assert cell == f"{cell.strip()} ".rjust(len(cell)), "flush right, but for a space"


# ---------------------------------------------------------------------------------------------------------------- plots


def curves(at_one: float = 120.0, at_two: float = 20.0, last: float = 10.0) -> dict[str, list[tuple[int, float]]]:
    return {
        "val/mss": [(5, 4.0), (10, 0.5 * last)],
        "val/snr": [(5, 1.0), (10, last)],
        "val/snr/a0.50": [(5, 1.0), (10, 15.0)],
        "val/snr/a1.00": [(5, 1.0), (10, at_one)],
        "val/snr/a2.00": [(5, 1.0), (10, at_two)],
    }


@pytest.fixture
def plot(tmp_path):
    """A function that plots histories and reads the picture back, (height, width, 3)."""

    def draw(**models):
        path = tmp_path / "picture.png"
        plot_training(models, [("mss", "MSS"), ("snr", "SNR, dB")], [("snr", "SNR, dB")], path)
        return matplotlib.image.imread(path)[..., :3]

    return draw


def panels_with(picture: np.ndarray, colour: str) -> list[bool]:
    """Whether each of the three panels side by side has pixels of a colour."""
    found = (np.abs(picture - np.array(to_rgb(colour))) < 1 / 255).all(axis=2)
    return [bool(panel.any()) for panel in np.array_split(found, 3, axis=1)]


def test_every_panel_has_a_line_for_every_model(plot):
    picture = plot(first=curves(), second=curves(at_two=30.0, last=20.0))
    assert panels_with(picture, COLOURS[0]) == panels_with(picture, COLOURS[1]) == [True, True, True]
    assert panels_with(picture, COLOURS[2]) == [False, False, False]


def test_plots_show_the_curve_without_gain_one(plot):
    picture = plot(model=curves())
    np.testing.assert_array_equal(plot(model=curves(at_one=3.0)), picture)
    assert (plot(model=curves(at_two=25.0)) != picture).any()
    assert (plot(model=curves(last=11.0)) != picture).any()


# --------------------------------------------------------------------------------------------------------------- sounds

FRAME, MARGIN, SAMPLES = 16, 8, 64


class Toy(nn.Module):
    """Latents are frames of audio, and a decode is its latents and so many times the noise."""

    sample_rate = 8000
    margin = MARGIN

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        self.noise = noise

    def encode(self, audio: Tensor) -> Tensor:
        return audio.unflatten(-1, (FRAME, -1))

    def sample_noise(self, latents: Tensor, draws: Draws, steps: int = 1) -> Tensor:
        return draws.normal("noise", *latents.shape)

    def decode(self, latents: Tensor, noise: Tensor, steps: int = 1) -> Tensor:
        return (latents + self.noise * noise).flatten(1)


@pytest.fixture
def stems():
    """Noise on a grid of 2^-12, so that sums of it are exact in float32."""
    noise = torch.randn(3, SAMPLES, generator=torch.Generator().manual_seed(0))
    return dict(zip(("drums", "bass", "vocals"), (noise * 2**12).round() / 2**12, strict=True))


def test_arithmetic_on_the_latents_of_a_linear_autoencoder_is_arithmetic_on_sound(stems):
    sounds = latent_arithmetic(Toy(), stems)
    mix = sum(stems.values())[MARGIN:-MARGIN]
    wanted = {
        "original": mix,
        "reconstruction": mix,
        "decoded-sum": mix,
        "decoded-half": 0.5 * mix,
        "decoded-double": 2 * mix,
    }
    for name, wave in stems.items():
        wanted[name] = wanted[f"{name}-by-subtraction"] = wave[MARGIN:-MARGIN]
    assert sounds.keys() == wanted.keys()
    for name, sound in sounds.items():
        torch.testing.assert_close(sound, wanted[name], rtol=0, atol=0, msg=name)


def test_every_sound_is_decoded_under_the_same_noise(stems):
    sounds = latent_arithmetic(Toy(noise=1.0), stems)
    noise = Draws(NOISE_SEED, [0]).normal("noise", 1, FRAME, SAMPLES // FRAME).flatten()[MARGIN:-MARGIN]
    plain = latent_arithmetic(Toy(), stems)
    decoded = {"reconstruction"} | {name for name in plain if "decoded" in name or "subtraction" in name}
    assert len(decoded) == 4 + len(stems)
    for name, sound in sounds.items():
        torch.testing.assert_close(sound, plain[name] + noise if name in decoded else plain[name], msg=name)


def test_sounds_keep_levels_beyond_full_scale(tmp_path: Path):
    sounds = {"loud": torch.linspace(-2.5, 2.5, 501), "quiet": 1e-6 * torch.ones(10)}
    folder = tmp_path / "new" / "sounds"
    write_sounds(sounds, 16_000, folder)
    assert {path.stem for path in folder.iterdir()} == sounds.keys()
    for name, sound in sounds.items():
        read, rate = soundfile.read(folder / f"{name}.wav", dtype="float32")
        assert rate == 16_000
        np.testing.assert_array_equal(read, sound.numpy())
