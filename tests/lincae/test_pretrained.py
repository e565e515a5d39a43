"""What a source names, and what is said when it names nothing."""

import json

import pytest
import torch

from lincae.autoencoders.spectral import SpectralAutoencoder
from lincae.pretrained import load_pretrained, write_saved


@pytest.fixture
def model(spectrogram, sizes, awaken):
    return awaken(SpectralAutoencoder(spectrogram, sizes)).eval()


@pytest.fixture
def saved(tmp_path, model):
    folder = tmp_path / "saved"
    folder.mkdir()
    write_saved(folder, model, 33.0)
    return folder


def same_weights(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_what_was_saved_is_read_bit_by_bit(saved, model):
    autoencoder, scale_factor = load_pretrained(str(saved))
    assert scale_factor == 33.0
    assert not autoencoder.training
    assert same_weights(autoencoder, model)


def test_a_checkpoint_and_its_run_are_the_averaged_weights(fit, music, tmp_path):
    fit(f"--data.train={music}", "--trainer.max_steps=2", "--model.optimizer.lr=0.01")
    file = tmp_path / "checkpoints" / "last.ckpt"
    averaged = torch.load(file, weights_only=True)["state_dict"]
    for source in (file, str(file), tmp_path):
        autoencoder, scale_factor = load_pretrained(source)
        assert scale_factor == 1
        for name, value in autoencoder.state_dict().items():
            assert torch.equal(value, averaged[f"autoencoder.{name}"])


def change(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


BROKEN = {
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), r"config\.json is no configuration"),
    "another JSON": (lambda folder: (folder / "config.json").write_text("[1]"), r"config\.json is no configuration"),
    "no scale": (lambda folder: change(folder, scale_factor=None), r"config\.json is no configuration"),
    "no class": (lambda folder: change(folder, autoencoder={"class_path": "a.B"}), r"config\.json .* cannot be built"),
    "cut off": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9]),
        r"model\.safetensors does not hold the weights",
    ),
    "other sizes": (
        lambda folder: change(folder, autoencoder={"class_path": "lincae.autoencoders.spectral.SpectralAutoencoder"}),
        r"model\.safetensors does not hold the weights",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_folder_that_cannot_be_read_is_named(saved, fault):
    spoil, message = BROKEN[fault]
    spoil(saved)
    with pytest.raises(ValueError, match=message):
        load_pretrained(saved)


def test_missing_weights_are_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_pretrained(saved)
