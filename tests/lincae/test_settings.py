"""From an autoencoder to its settings and back."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.controls import Identity, PowerLawSpectrogram
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.consistency.noise_levels import NoiseLevels
from lincae.schedules import StepSchedule
from lincae.settings import build, settings_of
from lincae.stft import Spectrogram


@dataclass
class Taps:
    values: tuple[float, ...] = (1.0,)


class Filter(nn.Module):
    """Has an argument of each kind."""

    def __init__(self, taps: Taps, inner: nn.Module | None = None, names: dict | None = None, forgotten: int = 0):
        super().__init__()
        self.taps, self.inner, self.names = taps, inner, names


def consistency(spectrogram, sizes):
    levels = NoiseLevels(0.01, 3.0, rho=5.0, mean=0.3, std=0.8, cells=99)
    return ConsistencyAutoencoder(spectrogram, sizes, levels, StepSchedule(0.2, 1.0, 3.0), 0.7, 16_000)


MAKERS = {
    "consistency": consistency,
    "spectral": lambda spectrogram, sizes: SpectralAutoencoder(spectrogram, sizes, silence=0.02, sample_rate=8000),
    "identity": lambda spectrogram, sizes: Identity(256, 8000),
    "stft": lambda spectrogram, sizes: PowerLawSpectrogram(spectrogram, 8000),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_an_autoencoder_comes_back_from_json(maker, spectrogram, sizes, normal):
    """With other arguments than the defaults: the same settings, the same weights fit, the same latents come out."""
    model = MAKERS[maker](spectrogram, sizes).eval()
    settings = json.loads(json.dumps(settings_of(model)))
    again = build(settings).eval()
    assert type(again) is type(model)
    assert settings_of(again) == settings
    again.load_state_dict(model.state_dict())
    audio = 0.1 * normal(1, 1216)
    assert torch.equal(again.encode(audio), model.encode(audio))


def test_settings_are_those_of_a_configuration(spectrogram):
    assert settings_of(PowerLawSpectrogram(spectrogram, 8000)) == {
        "class_path": "lincae.autoencoders.controls.PowerLawSpectrogram",
        "init_args": {
            "spectrogram": {
                "class_path": "lincae.stft.Spectrogram",
                "init_args": {"hop": 64, "window": 256, "alpha": 0.65, "beta": 0.34, "fold": 1},
            },
            "sample_rate": 8000,
        },
    }


def test_an_argument_that_is_no_attribute_is_named():
    with pytest.raises(TypeError, match=r"Filter cannot be saved: its argument 'forgotten' .* self\.forgotten"):
        settings_of(Filter(Taps()))


def test_an_argument_that_json_cannot_hold_is_named():
    part = Filter(Taps(), Spectrogram(), {"a": [1, None], "b": torch.zeros(2)})
    part.forgotten = 1
    with pytest.raises(TypeError, match=r"Filter\.names cannot be saved: tensor"):
        settings_of(part)


@pytest.mark.parametrize(
    "settings",
    [
        {"class_path": "lincae.autoencoders.controls.Nobody"},
        {"class_path": "lincae.autoencoders.controls.Identity", "init_args": {"frames": 3}},
        None,
        {"class_path": "os.system", "init_args": {"command": "true"}},
        {"class_path": "lincae.streams.Draws", "init_args": {"seed": 0, "groups": [0]}},
    ],
)
def test_settings_of_something_else_are_refused(settings):
    with pytest.raises(ValueError, match="configuration of the autoencoder cannot be built"):
        build(settings)
