"""Small trained models as folders, and the shell's commands in this process."""

import numpy as np
import pytest
import soundfile
import torch

from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.controls import Identity
from lincae.autoencoders.oobleck import OobleckAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.cli.main import main


@pytest.fixture
def identity(tmp_path):
    """Latents are frames of 512 samples; decodes are exact."""
    Autoencoder(Identity(512)).save_pretrained(tmp_path / "identity")
    return str(tmp_path / "identity")


@pytest.fixture
def consistency(tmp_path, spectrogram, sizes, awaken):
    """Decodes from noise, in seamless chunks of 512 samples or more; the scale factor is 3."""
    Autoencoder(awaken(ConsistencyAutoencoder(spectrogram, sizes)), 3.0).save_pretrained(tmp_path / "consistency")
    return str(tmp_path / "consistency")


@pytest.fixture
def spectral(tmp_path, spectrogram, sizes, awaken):
    """Deterministic; the scale factor is 2."""
    Autoencoder(awaken(SpectralAutoencoder(spectrogram, sizes)), 2.0).save_pretrained(tmp_path / "spectral")
    return str(tmp_path / "spectral")


@pytest.fixture
def stereo(tmp_path):
    """Hears two channels at once, in frames of 32 samples; the scale factor is 2."""
    torch.manual_seed(0)
    model = OobleckAutoencoder(8, [4, 8], [1, 2], 8, 4)
    Autoencoder(model, 2.0).save_pretrained(tmp_path / "stereo")
    return str(tmp_path / "stereo")


@pytest.fixture
def sound(tmp_path):
    """A function that writes a file of tones below 2 kHz, another in each channel, fading at either end."""

    def write(name, frames=20_000, rate=44_100, channels=2, seed=0, level=0.3, subtype="FLOAT"):
        time = np.arange(frames)[:, None] / rate
        hertz = np.random.default_rng(seed).uniform(300, 2000, channels)
        fade = np.hanning(frames)[:, None] if frames > 2 else 1
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        subtype = subtype if path.suffix == ".wav" else None
        soundfile.write(path, level * fade * np.sin(2 * np.pi * hertz * time), rate, subtype=subtype)
        return str(path)

    return write


@pytest.fixture
def refused(capsys):
    """A function that runs a command that should end in one line `error: ...` and status 2, and gives that line."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        assert end.value.code == 2
        told = capsys.readouterr()
        (line,) = told.err.splitlines()
        assert line.startswith("error: ")
        assert not told.out
        return line

    return run
