"""Reading checkpoints: no code is run, and they hold enough to rebuild the autoencoder."""

import os
from functools import partial

import pytest
import torch

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.checkpoint import load_autoencoder
from lincae.checkpoint_files import CheckpointError
from lincae.checkpoint_io import AtomicCheckpointIO
from lincae.networks.sizes import NetworkSizes
from lincae.stft import Spectrogram
from lincae.streams import Draws


class Code:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


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
    with pytest.raises(CheckpointError, match=r"evil\.ckpt.*code"):
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
