"""Training that begins where another ended, whole or in part."""

import dataclasses
import shutil
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from callbacks import TrainOnly
from lincae import Autoencoder
from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.initial_weights import take_weights
from lincae.pretrained import load_pretrained
from lincae.published import write_published
from lincae.settings import settings_of
from lincae.stft import Spectrogram


@pytest.fixture
def spectral_folder(tmp_path, spectrogram, sizes):
    """A saved model of time stride 8."""
    Autoencoder(SpectralAutoencoder(spectrogram, sizes)).save_pretrained(tmp_path / "spectral")
    return tmp_path / "spectral"


def parts(encoder: int = 2, **others: nn.Module) -> nn.Module:
    return nn.ModuleDict({"encoder": nn.Linear(encoder, 2), "decoder": nn.Linear(2, 2), **others})


def test_weights_that_do_not_fit_are_named_and_nothing_is_copied():
    own, trained = parts(gate=nn.Linear(1, 1)), parts(encoder=3, extra=nn.Linear(1, 1))
    before = {name: value.clone() for name, value in own.state_dict().items()}
    with pytest.raises(ValueError, match=r"a\.ckpt do not fit") as error:
        take_weights(own, trained, "a.ckpt")
    assert "lacks gate.weight, gate.bias" in str(error.value)
    assert "has beside extra.weight, extra.bias" in str(error.value)
    assert "encoder.weight (2, 3) for (2, 2)" in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in own.state_dict().items())


def test_only_the_named_parts_are_trained():
    autoencoder = parts()
    TrainOnly(["encoder"]).setup(None, SimpleNamespace(autoencoder=autoencoder), "fit")
    trained = {name for name, parameter in autoencoder.named_parameters() if parameter.requires_grad}
    assert trained == {"encoder.weight", "encoder.bias"}


def test_a_part_that_does_not_exist_is_refused():
    with pytest.raises(MisconfigurationException, match=r"\['enc'\].*\['encoder', 'decoder'\]"):
        TrainOnly(["enc"]).setup(None, SimpleNamespace(autoencoder=parts()), "fit")
    with pytest.raises(ValueError, match="parts"):
        TrainOnly([])


def test_published_weights_are_gone_on_from(fit, music, tmp_path, sizes, awaken):
    """Random ones in the authors' layout, of small networks: two steps of the consistency autoencoder."""
    ours = awaken(ConsistencyAutoencoder(Spectrogram(64, 256), dataclasses.replace(sizes, heads=4)))
    write_published(ours, tmp_path / "published")
    few = ["--data.batch_size=2", "--data.steps_per_epoch=2", "--trainer.max_steps=2", "--trainer.limit_val_batches=0"]
    source = f"--model.init_from={tmp_path / 'published'}"
    fit(f"--data.train={music}", source, "--data.samples=2240", *few, config="retrofit.yaml")
    checkpoint = torch.load(tmp_path / "runs" / "retrofit-fit" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2
    moved = [
        name
        for name, value in ours.state_dict().items()
        if (checkpoint["state_dict"][f"autoencoder.{name}"] != value).any()
    ]
    assert "denoiser.network.conv_out.weight" in moved
    assert "encoder.conv_in.weight" in moved


@pytest.mark.slow
def test_published_weights_of_reference_size_are_gone_on_from(fit, music, tmp_path):
    write_published(ConsistencyAutoencoder(), tmp_path / "published")
    few = ["--data.batch_size=2", "--data.steps_per_epoch=2", "--trainer.max_steps=2", "--trainer.limit_val_batches=0"]
    source = f"--model.init_from={tmp_path / 'published'}"
    fit(f"--data.train={music}", source, *few, config="retrofit.yaml")
    checkpoint = torch.load(tmp_path / "runs" / "retrofit-fit" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2


def weights(folder, averaged: bool = True) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict" if averaged else "current_model_state"]


def test_a_training_goes_on_from_averaged_weights_with_all_else_new(fit, music, tmp_path):
    data = f"--data.train={music}"
    into = lambda name: [f"--trainer.default_root_dir={name}", f"--trainer.logger.save_dir={name}"]  # noqa: E731
    fit(data, *into("first"), "--trainer.max_steps=2", "--model.optimizer.lr=0.01", "--model.ema.every=1")
    source = f"--model.init_from={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}"
    start = weights(tmp_path / "first")
    assert any((value != start[name]).any() for name, value in weights(tmp_path / "first", averaged=False).items())

    still = ["--model.optimizer.lr=0", "--callbacks.stop=callbacks.StopAfter", "--callbacks.stop.steps=1"]
    fit(data, source, *into("second"), "--trainer.max_steps=2", "--model.ema.every=1", *still)
    checkpoint = torch.load(tmp_path / "second" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (checkpoint["global_step"], checkpoint["callbacks"]["AveragedWeights"]["updates"]) == (1, 1)
    for name, value in start.items():
        torch.testing.assert_close(checkpoint["current_model_state"][name], value, rtol=0, atol=0)
        torch.testing.assert_close(checkpoint["state_dict"][name], value, rtol=0, atol=0)

    alone = ["--callbacks.train_only=callbacks.TrainOnly", "--callbacks.train_only.parts=[encoder]"]
    fit(data, source, *into("third"), "--trainer.max_steps=2", *alone, "--model.learning_rate_schedule.warmup=0")
    for name, value in weights(tmp_path / "third", averaged=False).items():
        moved = bool((value != start[name]).any())
        assert not moved or name.startswith("autoencoder.encoder"), name
    changed = weights(tmp_path / "third", averaged=False)["autoencoder.encoder.conv_in.weight"]
    assert (changed != start["autoencoder.encoder.conv_in.weight"]).any()

    shutil.rmtree(tmp_path / "first")  # a resumed run has its own weights
    fit(data, source, *into("second"), "--trainer.max_steps=2", "--model.ema.every=1", "--ckpt_path=last")


def test_a_model_that_is_not_named_is_that_of_the_source(fit, music, tmp_path, spectral_folder):
    into = ["--trainer.default_root_dir=second", "--trainer.logger.save_dir=second"]
    settings = ["--data.samples=2240", "--data.batch_size=2", "--data.steps_per_epoch=2", "--trainer.max_steps=2"]
    source = f"--model.init_from={spectral_folder}"
    few = ["--data.validation_clips=2", "--data.validation_tracks=2", "--data.validation_batch_size=2"]
    fit(f"--data.train={music}", source, *into, *settings, *few, "--model.optimizer.lr=0", config="retrofit.yaml")
    before, after = load_pretrained(spectral_folder).autoencoder, load_pretrained(tmp_path / "second").autoencoder
    assert settings_of(after) == settings_of(before)
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())

    again = fit(f"--data.train={music}", source, "--data.sample_rate=16000", config="retrofit.yaml", check=False)
    assert again.returncode == 2
    assert "the model works at 44100 Hz and the data at 16000: set --data.sample_rate=44100" in again.stderr
    none = fit(f"--data.train={music}", config="retrofit.yaml", check=False)
    assert none.returncode == 2
    assert "there is no model to train" in none.stderr
