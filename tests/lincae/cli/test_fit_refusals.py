"""Files that are none, and settings that cannot train: one line with the file or the value, and status 2."""

import pickle

import pytest
import torch
from commands import TINY

from lincae.cli.main import main


class Code:
    """Unpickling it prints."""

    def __reduce__(self):
        return print, ("run by a file",)


def write_pickle(path):
    path.write_bytes(pickle.dumps({"config": Code()}))


FILES = {
    "pickle": write_pickle,
    "code": lambda path: torch.save({"config": Code(), "state_dict": {}}, path),
    "something else": lambda path: torch.save({"a": 1}, path),
    "a list": lambda path: torch.save([1], path),
    "text": lambda path: path.write_text("no checkpoint"),
    "empty": lambda path: path.touch(),
}
COMMANDS = {
    "evaluate": "evaluate {file} --data data --protocol clips -o out",
    "export": "export {file} out",
    "replay": "replay {file}",
    "resume": "fit --config {tiny} --data.train=data --ckpt_path={file} --trainer.default_root_dir=out",
    "init_from": "fit --config {tiny} --data.train=data --model.init_from={file} --model.autoencoder=null",
}


@pytest.fixture
def end(capsys, tmp_path, monkeypatch):
    """A function that runs a command that should be refused, in a folder with audio, and gives its last line."""
    monkeypatch.chdir(tmp_path)

    def run(command, **values):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(command.format(tiny=TINY, **values).split())
        told = capsys.readouterr()
        assert stopped.value.code == 2
        assert "run by a file" not in told.out
        return told.err.splitlines()[-1]

    return run


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("file", FILES)
def test_a_file_that_is_no_checkpoint_is_named(command, file, end, sound, tmp_path):
    sound("data/a.wav")
    FILES[file](tmp_path / "given.ckpt")
    line = end(COMMANDS[command], file="given.ckpt")
    assert line.startswith("error: ")
    assert "given.ckpt" in line
    assert "weights_only" not in line  # nobody is told how to run the code


@pytest.mark.parametrize("precision", ["64-true", "16-true", "bf16-true"])
def test_a_precision_that_cannot_train_is_refused_with_those_that_can(precision, end, sound):
    sound("data/a.wav")
    line = end(f"fit --config {{tiny}} --data.train=data --trainer.precision={precision}")
    assert precision in line
    assert "bf16-mixed" in line


@pytest.mark.parametrize("corpus", ["train", "validation", "tracks"])
def test_a_missing_folder_is_named_in_one_line(corpus, end, sound):
    sound("data/a.wav", 200_000)
    line = end(f"fit --config {{tiny}} --data.train=data --data.validation=data --data.{corpus}=nowhere")
    assert line.startswith("error: ")
    assert "nowhere" in line
    assert corpus in line


def test_a_run_that_cannot_have_a_folder_is_refused(end, sound, tmp_path):
    sound("data/a.wav")
    (tmp_path / "file").touch()
    assert "file/x" in end("fit --config {tiny} --data.train=data --trainer.default_root_dir=file/x")


def test_a_step_that_tries_a_run_out_leaves_nothing_and_is_not_in_its_way(fit, music, tmp_path):
    data = f"--data.train={music}"
    tried = fit(data, "--trainer.fast_dev_run=true", "--trainer.default_root_dir=run")
    assert "max_steps=1" in tried.stderr
    assert list(tmp_path.iterdir()) == []
    fit(data, "--trainer.max_steps=1", "--trainer.default_root_dir=run")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt") in files
    fit(data, "--trainer.fast_dev_run=true", "--trainer.default_root_dir=run")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == files


def test_a_checkpoint_is_validated_without_a_key_for_wandb(fit, start, music, tmp_path):
    settings = ["--config", str(TINY), f"--data.train={music}", "--trainer.default_root_dir=run"]
    fit(*settings[2:], "--trainer.max_steps=1")
    (tmp_path / "home").mkdir()
    wandb = ["--trainer.logger=lightning.pytorch.loggers.WandbLogger", "--trainer.logger.project=lincae"]
    done = start("validate", *settings, *wandb, "--ckpt_path=last", HOME=str(tmp_path / "home")).wait()
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("NO W&B KEY FOUND") == 1
    assert "val/reconstruction/mss" in done.stdout
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    done = start("validate", *settings, *wandb).wait()
    assert done.returncode == 2
    assert "--ckpt_path" in done.stderr.splitlines()[-1]
