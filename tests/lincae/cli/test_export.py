"""`lincae export`: what it writes is the model it was given."""

import numpy as np
import pytest
import soundfile
import torch

from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.cli.main import main
from lincae.networks.sizes import NetworkSizes
from lincae.settings import settings_of
from lincae.stft import Spectrogram


def run(*arguments):
    main([str(argument) for argument in arguments])


@pytest.fixture
def run_folder(tmp_path):
    """A run whose checkpoint the authors' classes can express."""
    sizes = NetworkSizes(widths=(4, 8), strides=((2, 2),), attention=(False, True), latents=3, bottleneck=8)
    autoencoder = ConsistencyAutoencoder(Spectrogram(hop=64, window=256), sizes)
    settings = {"model": {"init_args": {"autoencoder": settings_of(autoencoder)}}}
    weights = {f"autoencoder.{name}": tensor for name, tensor in autoencoder.state_dict().items()}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    torch.save(
        {"config": settings, "state_dict": weights, "latent_std": 0.25}, tmp_path / "run" / "checkpoints" / "last.ckpt"
    )
    return tmp_path / "run"


@pytest.mark.parametrize("layout", ["lincae", "linear-cae"])
def test_latents_of_a_checkpoint_are_decoded_by_its_export(layout, run_folder, sound, tmp_path, capsys):
    run("export", run_folder, tmp_path / "model", "--format", layout)
    assert capsys.readouterr().out.startswith(f"{tmp_path}/model: for ")
    assert Autoencoder.from_pretrained(tmp_path / "model").scale_factor == 4
    run("encode", sound("a.wav", 3000), "-o", tmp_path, "--model", run_folder / "checkpoints" / "last.ckpt")
    run("decode", tmp_path / "a.safetensors", "-o", tmp_path / "1.wav", "--model", tmp_path / "model")
    run("decode", tmp_path / "a.safetensors", "-o", tmp_path / "2.wav")
    assert np.array_equal(soundfile.read(tmp_path / "1.wav")[0], soundfile.read(tmp_path / "2.wav")[0])


def test_the_scale_factor_is_kept_or_told(consistency, spectral, tmp_path, capsys, refused):
    run("export", consistency, tmp_path / "copy")
    assert Autoencoder.from_pretrained(tmp_path / "copy").scale_factor == 3
    assert "is not the authors' model" in refused("export", spectral, tmp_path / "x", "--format", "linear-cae")
    assert not (tmp_path / "x").exists()


def test_models_and_latents_may_be_read_by_whom_the_umask_lets(run_folder, sound, tmp_path):
    (tmp_path / "usual").touch()
    usual = (tmp_path / "usual").stat().st_mode
    run("export", run_folder, tmp_path / "model")
    run("encode", sound("a.wav"), "-o", tmp_path, "--model", tmp_path / "model")
    for path in (*(tmp_path / "model").iterdir(), tmp_path / "a.safetensors"):
        assert path.stat().st_mode == usual


def test_nothing_is_overwritten(run_folder, tmp_path, refused):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    for layout in ("lincae", "linear-cae"):
        line = refused("export", run_folder, tmp_path / "model", "--format", layout)
        assert "nothing is overwritten" in line
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine"]


def test_what_is_no_model_is_refused(tmp_path, refused):
    (tmp_path / "a.ckpt").write_text("nothing")
    torch.save({"config": print}, tmp_path / "code.ckpt")
    assert "a.ckpt is no checkpoint, or only a part of one" in refused("export", tmp_path / "a.ckpt", tmp_path / "x")
    assert "code.ckpt" in refused("export", tmp_path / "code.ckpt", tmp_path / "x")
    assert "is no file or folder here" in refused("export", tmp_path / "none", tmp_path / "x")
    assert not (tmp_path / "x").exists()
