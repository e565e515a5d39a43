"""Models that a command line names: with and without a name of their own, in every command that takes one."""

import json

import pytest
import torch

from lincae.autoencoders.controls import Identity
from lincae.cli import embeddings
from lincae.cli.main import main
from lincae.cli.models import load_model
from lincae.metrics import LogMelStatistics
from lincae.settings import settings_of

STEP = "x=1/checkpoints/step=5.ckpt"


@pytest.fixture(autouse=True)
def run_folder(tmp_path, monkeypatch):
    """A run `x=1` in the working directory, of the exact control."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / STEP).parent.mkdir(parents=True)
    config = {"model": {"init_args": {"autoencoder": settings_of(Identity(512))}}}
    torch.save({"config": config, "state_dict": {}}, STEP)
    (tmp_path / STEP).with_name("last.ckpt").symlink_to("step=5.ckpt")
    return tmp_path / "x=1"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (STEP, "x=1-step=5"),
        (f"./{STEP}", "x=1-step=5"),
        ("{root}/" + STEP, "x=1-step=5"),
        ("x=1", "x=1"),
        (f"mine={STEP}", "mine"),
        ("u-0.5-1.5={root}/" + STEP, "u-0.5-1.5"),
        ("mine=x=1", "mine"),
        ("mine=identity", "mine"),
        ("two words=identity", "two words"),
        ("mine=lincae.autoencoders.controls.Identity", "mine"),
    ],
)
def test_a_name_ends_at_the_first_sign_and_is_no_path(text, name, tmp_path):
    model = load_model(text.format(root=tmp_path), 44_100)
    assert (model.name, type(model.model)) == (name, Identity)


def test_a_checkpoint_in_the_working_directory_needs_no_name(run_folder, monkeypatch):
    monkeypatch.chdir(run_folder / "checkpoints")
    assert load_model("step=5.ckpt", 44_100).name == "x=1-step=5"
    assert load_model("mine=step=5.ckpt", 44_100).name == "mine"
    with pytest.raises(ValueError, match=r"6\.ckpt"):
        load_model("step=6.ckpt", 44_100)


def test_a_home_directory_behind_a_name_is_found(run_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(run_folder.parent))
    assert load_model(f"mine=~/{STEP}", 44_100).name == "mine"


@pytest.mark.parametrize("text", ["clap:a=b/c", "mine=clap:a=b/c"])
def test_embeddings_are_named_by_the_same_rule(text, monkeypatch):
    asked = []
    monkeypatch.setattr(embeddings, "load_clap", lambda folder: asked.append(folder) or LogMelStatistics())
    assert embeddings.load_embedding(text).name == ("mine" if text.startswith("mine") else "logmel")
    assert asked == ["a=b/c"]


def test_every_command_takes_a_checkpoint_of_a_step(sound, tmp_path, capsys):
    def run(*arguments):
        main([str(argument) for argument in arguments])

    sound("data/a.wav", 120_000, channels=1)
    sound("data/b.wav", 120_000, channels=1, seed=1)
    run("evaluate", STEP, f"mine={STEP}", "--data", "data", "--protocol", "clips", "-o", "found", "--seconds", "0.2")
    assert set(json.loads((tmp_path / "found" / "results.json").read_text())["models"]) == {"x=1-step=5", "mine"}
    run("encode", "data", "-o", "z", "--model", STEP)
    run("decode", "z", "-o", "same=1", "--model", STEP)
    run("decode", "z", "-o", "again")
    run("mix", "data/a.wav", "data/b.wav", "-o", "mix.wav", "--model", STEP)
    run("separate", "mix.wav", "--minus", "data/a.wav", "-o", "rest.wav", "--model", STEP)
    run("export", STEP, "exported=1")
    run("linear", "--like", STEP, "--data", "data", "-o", "linear=1", "--excerpts", 4)
    for model in ("exported=1", "linear=1"):
        assert load_model(model, 44_100).name == model


def test_a_training_starts_from_a_checkpoint_of_a_step(fit, music, tmp_path):
    short = [f"--data.train={music}", "--trainer.max_steps=1"]
    fit(*short, "--trainer.default_root_dir=y=1", "--trainer.logger.save_dir=a")
    fit(
        *(*short, "--trainer.default_root_dir=z=1", "--trainer.logger.save_dir=b"),
        "--model.init_from=y=1/checkpoints/step=1.ckpt",
    )
    fit(*short, "--trainer.default_root_dir=z=1", "--ckpt_path=z=1/checkpoints/step=1.ckpt")
