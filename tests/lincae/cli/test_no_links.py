"""Commands where the file system has no links."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from no_links import refuse

from datamodules.index import Demands
from lincae.checkpoint_files import steps_in
from lincae.cli.held_out import hold_out
from lincae.cli.models import load_model
from lincae.pretrained import load_pretrained


@pytest.fixture
def no_links(monkeypatch):
    for name in ("symlink", "link"):
        monkeypatch.setattr(os, name, refuse)


def test_a_training_is_resumed_and_its_model_used(fit, music, tmp_path):
    arguments = [f"--data.train={music}", "--callbacks.no_links=no_links.NoLinks", "--trainer.max_steps=10"]
    stop = ["--callbacks.stop=callbacks.StopAfter", "--callbacks.stop.steps=5"]
    fit(*arguments, *stop)
    folder = tmp_path / "checkpoints"
    stale = folder / "last.ckpt"
    stale.unlink(missing_ok=True)
    shutil.copyfile(folder / "step=5.ckpt", stale)  # as a copy from elsewhere has a file in place of the link
    fit(*arguments, "--ckpt_path=last")
    assert steps_in(folder) == [5, 10]
    assert not stale.exists()
    stored = torch.load(folder / "step=10.ckpt", weights_only=True)["state_dict"]
    for autoencoder in (load_pretrained(tmp_path).autoencoder, load_model(str(tmp_path), 16_000).model):
        for name, value in autoencoder.state_dict().items():
            assert torch.equal(value, stored[f"autoencoder.{name}"])
    assert load_model(str(tmp_path), 16_000).name == tmp_path.name


def test_audio_is_held_out_as_copies(no_links, tmp_path):
    for number in range(32):
        path = tmp_path / "audio" / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(8000), 44_100)
    split = hold_out(str(tmp_path / "audio"), tmp_path / "split", Demands(44_100, 4096, 44_100), most=16)
    files = [path for folder in (split.train, split.held_out) for path in folder.rglob("*.wav")]
    contents = {path.read_bytes() for path in files}
    assert contents == {path.read_bytes() for path in (tmp_path / "audio").iterdir()}
    assert len(files) == len(contents) == 32
    assert "copies" in split.text
    assert str(tmp_path) in split.text


def test_nothing_else_makes_links():
    """What does has to be able to do without."""
    project = Path(__file__).parents[3]
    found = {
        str(file.relative_to(project))
        for room in ("lincae", "callbacks", "datamodules")
        for file in (project / room).rglob("*.py")
        if any(call in file.read_text() for call in ("symlink_to", "os.symlink", "os.link", "hardlink_to"))
    }
    assert found == {"lincae/checkpoint_files.py", "lincae/cli/held_out.py"}
