"""What a training does when disks, files and servers fail under it."""

import errno
import os
import shutil
import subprocess
import time

import pytest
import torch
from commands import TINY

from lincae.checkpoint_files import FOLDER, damage, newest_first, path_of, steps_in

STEPS = 12


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.5 MB; two checkpoints fit on it, and not a third. Mounting it takes the rights to."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_whole_checkpoints_to_go_on_from(fit, music, tmp_path, small_disk, training_state):
    settings = [
        *(f"--data.train={music}", f"--trainer.max_steps={STEPS}", "--callbacks.checkpoints.every_n_train_steps=4"),
        "--trainer.logger.save_dir=logs",
    ]
    fit(*settings, "--trainer.default_root_dir=whole")
    full = fit(*settings, f"--trainer.default_root_dir={small_disk}", check=False)
    assert full.returncode == 2
    last = full.stderr.splitlines()[-1]
    assert last.startswith(f"error: cannot write the checkpoint {path_of(small_disk / FOLDER, STEPS)}: ")
    assert f"{os.strerror(errno.ENOSPC)}. Earlier checkpoints" in last
    assert steps_in(small_disk / FOLDER) == [4, 8]
    assert [damage(path) for path in newest_first(small_disk / FOLDER)] == [None, None]

    subprocess.run(["mount", "-o", "remount,size=10m", small_disk], check=True)
    fit(*settings, f"--trainer.default_root_dir={small_disk}", "--ckpt_path=last")
    ends = [path_of(folder / FOLDER, STEPS) for folder in (small_disk, tmp_path / "whole")]
    assert training_state(ends[0]) == training_state(ends[1])


def test_files_that_vanish_and_break_during_a_training_are_named(start, music, tmp_path, record_property):
    folder = shutil.copytree(music, tmp_path / "music", ignore=shutil.ignore_patterns("broken.wav"))
    settings = [f"--data.train={folder}", f"--data.validation={music}", "--trainer.max_steps=40"]
    limits = ["--callbacks.checkpoints.every_n_train_steps=5", "--data.max_bad=0.6"]
    command = start("fit", "--config", str(TINY), *settings, *limits)
    while not steps_in(tmp_path / FOLDER):
        assert command.process.exitcode is None, command.wait().stderr
        time.sleep(0.01)
    (folder / "a.wav").unlink()
    (folder / "b" / "c.flac").write_bytes(b"no longer audio")
    done = command.wait()
    assert done.returncode == 0, done.stderr
    data = torch.load(tmp_path / FOLDER / "last.ckpt", weights_only=True)["AudioDataModule"]["rejected"]
    broken = data["train"]["broken"]
    assert broken == {"a.wav": "missing", "b/c.flac": "unreadable"}
    for name, reason in broken.items():
        assert f"{name} is {reason}, other crops take its place" in done.stderr
    record_property("files quarantined", len(broken))


def test_a_wandb_server_that_is_not_there_is_not_waited_for(fit, music, tmp_path):
    done = fit(
        *(f"--data.train={music}", "--trainer.max_steps=2"),
        *("--trainer.logger=lightning.pytorch.loggers.WandbLogger", "--trainer.logger.project=lincae"),
        WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_API_KEY="0" * 40,
    )
    assert done.stderr.count("NO W&B SERVER") == 1
    assert "logging offline into ./wandb" in done.stderr
    assert list((tmp_path / "wandb").glob("offline-run-*"))
