"""Devices that are not there, and one without float64, as Apple's GPU is: torch's `meta` in its role."""

import numpy as np
import pytest
import soundfile
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lincae import Autoencoder
from lincae.autoencoders.controls import Identity
from lincae.cli.main import main
from lincae.devices import usable
from lincae.mixing import mix
from lincae.module import ImplicitLinearity


class WithoutFloat64(TorchDispatchMode):
    """No tensor on `meta` can be float64; the error is torch's of `mps`."""

    def __torch_dispatch__(self, function, types, arguments=(), settings=None):
        made = function(*arguments, **(settings or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta" and tensor.dtype == torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support it")
        return made


@pytest.fixture
def apple():
    with WithoutFloat64():
        with pytest.raises(TypeError):  # what would happen at the first step
            mix(torch.eye(2, device="meta"), torch.zeros(2, 8, device="meta"))
        yield


def test_a_device_that_can_compute_is_usable():
    assert usable("cpu") == torch.device("cpu")
    assert usable("meta") == torch.device("meta")


@pytest.mark.parametrize("device", ["meta", pytest.param("cuda:77", id="not there"), pytest.param("abacus", id="none")])
def test_another_is_refused_with_what_to_use(apple, device):
    with pytest.raises(ValueError, match=rf"'{device}'.*cpu"):
        usable(device)


@pytest.mark.parametrize("run", ["fit", "validate"])
def test_a_training_or_validation_on_it_never_starts(apple, run, tmp_path):
    strategy = SingleDeviceStrategy(device=torch.device("meta"))
    trainer = Trainer(accelerator="cpu", strategy=strategy, max_steps=1, logger=False, default_root_dir=tmp_path)
    with pytest.raises(MisconfigurationException, match=r"'meta'.*--trainer.accelerator=cpu"):
        getattr(trainer, run)(ImplicitLinearity(Identity(512)), [])


def test_a_model_is_not_loaded_onto_it(apple, tmp_path):
    Autoencoder(Identity(512)).save_pretrained(tmp_path / "identity")
    with pytest.raises(ValueError, match=r"'meta'.*cpu"):
        Autoencoder.from_pretrained(tmp_path / "identity", device="meta")


@pytest.mark.parametrize(
    "command",
    [
        ["encode", "a.wav", "--model", "identity", "-o", "out"],
        ["evaluate", "identity", "--data", ".", "--protocol", "clips", "-o", "out"],
    ],
    ids=lambda command: command[0],
)
def test_commands_refuse_it(apple, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Autoencoder(Identity(512)).save_pretrained(tmp_path / "identity")
    soundfile.write("a.wav", np.zeros(8000), 16_000)
    with pytest.raises(SystemExit) as end:
        main([*command, "--device", "meta"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert "'meta'" in told
    assert "cpu" in told
