"""Checkpoints on disk: whole or not there, free of code, and enough to rebuild the autoencoder."""

import os
import pickle
from functools import partial

import pytest
import torch

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.checkpoint import AtomicCheckpointIO, load_autoencoder
from lincae.networks.sizes import NetworkSizes
from lincae.stft import Spectrogram
from lincae.streams import Draws


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("not to be pickled")


class Code:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def stored(tmp_path):
    """A checkpoint, saved, with no other file beside it."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = {"global_step": 3, "config": {"a": [1, None]}, "state_dict": {"w": torch.arange(6.0).view(2, 3)}}
    AtomicCheckpointIO().save_checkpoint(checkpoint, path)
    return path


def test_what_is_saved_is_loaded(stored):
    checkpoint = AtomicCheckpointIO().load_checkpoint(stored)
    torch.testing.assert_close(checkpoint.pop("state_dict")["w"], torch.arange(6.0).view(2, 3), rtol=0, atol=0)
    assert checkpoint == {"global_step": 3, "config": {"a": [1, None]}}
    assert list(stored.parent.iterdir()) == [stored]


def test_saving_replaces_an_earlier_checkpoint(stored):
    AtomicCheckpointIO().save_checkpoint({"global_step": 4}, stored)
    assert AtomicCheckpointIO().load_checkpoint(stored) == {"global_step": 4}
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize(
    ("failing", "error"), [("pickling", RuntimeError), ("fsync", OSError), ("replace", KeyboardInterrupt)]
)
def test_a_save_that_fails_leaves_the_earlier_checkpoint(stored, monkeypatch, failing, error):
    before = stored.read_bytes()
    checkpoint = {"state_dict": {"w": torch.ones(100_000)}, "global_step": 4}
    if failing == "pickling":
        checkpoint["last"] = Unpicklable()
    else:

        def fail(*arguments):
            assert [path for path in stored.parent.iterdir() if path != stored], "written beside the checkpoint"
            raise error("no space left on device")

        monkeypatch.setattr(os, failing, fail)
    with pytest.raises(error):
        AtomicCheckpointIO().save_checkpoint(checkpoint, stored)
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize(
    "load",
    [
        AtomicCheckpointIO().load_checkpoint,
        partial(AtomicCheckpointIO().load_checkpoint, weights_only=False),  # what Lightning may ask for
        load_autoencoder,
    ],
)
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, load):
    path = tmp_path / "evil.ckpt"
    torch.save({"config": Code(tmp_path / "made by code")}, path)
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        load(path)
    assert list(tmp_path.iterdir()) == [path]
    torch.load(path, weights_only=False)  # the file does hold code that runs
    assert (tmp_path / "made by code").is_dir()


@pytest.mark.parametrize("contents", [{}, {"config": None}])
def test_a_checkpoint_without_a_configuration_is_refused_by_name(tmp_path, contents):
    path = tmp_path / "bare.ckpt"
    torch.save({"state_dict": {}, **contents}, path)
    with pytest.raises(ValueError, match=r"bare\.ckpt holds no configuration"):
        load_autoencoder(path)


def test_the_autoencoder_of_a_training_is_that_of_its_averaged_weights(fit, music, tmp_path):
    fit(
        f"--data.train={music}",
        "--trainer.max_steps=2",
        "--model.optimizer.lr=0.01",
        "--model.learning_rate_schedule.warmup=0",
        "--model.autoencoder.sigma_data=0.7",
    )
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    averaged, trained = checkpoint["state_dict"], checkpoint["current_model_state"]
    autoencoder = load_autoencoder(path)
    loaded = autoencoder.state_dict()
    assert {f"autoencoder.{name}" for name in loaded} == averaged.keys()
    for name, value in loaded.items():
        torch.testing.assert_close(value, averaged[f"autoencoder.{name}"], rtol=0, atol=0)
    assert any((averaged[name] != trained[name]).any() for name in averaged)

    by_hand = ConsistencyAutoencoder(
        spectrogram=Spectrogram(hop=128, window=512, alpha=0.65, beta=0.34, fold=8),
        sizes=NetworkSizes(
            widths=(8, 8),
            strides=((2, 2),),
            attention=(False, True),
            heads=2,
            latents=4,
            bottleneck=8,
            bottleneck_blocks=1,
            unet_blocks=1,
            embedding=16,
        ),
        sigma_data=0.7,
    ).eval()
    by_hand.load_state_dict({name.removeprefix("autoencoder."): value for name, value in averaged.items()})
    audio = 0.1 * torch.randn(2, 2432, generator=torch.Generator().manual_seed(0))
    assert not autoencoder.training
    assert (autoencoder.sample_rate, autoencoder.margin) == (by_hand.sample_rate, by_hand.margin)
    with torch.no_grad():
        latents = autoencoder.encode(audio)
        torch.testing.assert_close(latents, by_hand.encode(audio), rtol=0, atol=0)
        noise = by_hand.sample_noise(latents, Draws(0, [0, 1]))
        torch.testing.assert_close(autoencoder.decode(latents, noise), by_hand.decode(latents, noise), rtol=0, atol=0)
