"""Trainings that are stopped in every way there is, continued, and compared bit by bit with one that never was."""

import csv
import filecmp
import os
import random
import signal
import time

import numpy as np
import pytest
import soundfile
from commands import TINY

from lincae.checkpoint_files import FOLDER, path_of, steps_in
from lincae.cli import export

UNEQUAL = ("train/clips_per_second", "train/data_wait", "train/validation_share")
KILLS = 20


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number in range(4):
        noise = 0.2 * np.random.default_rng(number).standard_normal(3 * 44_100)
        soundfile.write(folder / f"{number}.wav", noise, 44_100)
    return folder


@pytest.fixture
def begin(start, sounds):
    """Starts a training in a folder, or continues the one that it holds."""

    def run(folder, steps, workers=0):
        resume = ["--ckpt_path=last"] if steps_in(folder / FOLDER) else []
        return start(
            *("fit", "--config", str(TINY), f"--data.train={sounds}", f"--data.num_workers={workers}"),
            *(f"--trainer.max_steps={steps}", "--data.steps_per_epoch=25"),
            *("--callbacks.checkpoints.every_n_train_steps=3", "--callbacks.checkpoints.keep=3"),
            *(f"--trainer.default_root_dir={folder}", f"--trainer.logger.save_dir={folder}"),
            *resume,
        )

    return run


def figures(folder):
    """All that a run logged, by name and step, but for speeds; what was logged again must be what it was."""
    logged = {}
    for path in sorted((folder / "csv").glob("version_*/metrics.csv")):
        with path.open() as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in UNEQUAL:
                        assert logged.setdefault((name, row["step"]), value) == value
    return logged


def losses(logged):
    """The steps whose loss is logged."""
    return {step for name, step in logged if name == "train/loss"}


def wait_for(happened, command):
    """Waits till something has happened, and makes sure that the command has not ended before."""
    while not happened():
        assert command.process.exitcode is None, command.wait().stderr
        time.sleep(0.0002)


def newest(folder):
    """The step of a run's newest checkpoint; 0 if it has none."""
    return max(steps_in(folder / FOLDER), default=0)


def test_a_run_stopped_in_three_ways_exports_the_same_file(begin, tmp_path, training_state, record_property):
    steps, whole, stopped = 60, tmp_path / "whole", tmp_path / "stopped"
    commands = [begin(whole, steps)]
    for step, workers, number, status in [
        (8, 2, signal.SIGTERM, os.EX_TEMPFAIL),
        (24, 1, signal.SIGKILL, -signal.SIGKILL),
        (44, 0, signal.SIGUSR1, os.EX_TEMPFAIL),
    ]:
        command = begin(stopped, steps, workers)
        wait_for(lambda step=step: newest(stopped) >= step, command)
        os.kill(command.process.pid, number)
        done = command.wait()
        assert done.returncode == status, done.stderr
        assert (f"stopped by {signal.Signals(number).name} after step" in done.stderr) == (status == os.EX_TEMPFAIL)
    commands.append(begin(stopped, steps, workers=1))
    for command in commands:
        assert command.wait().returncode == 0, command.wait().stderr

    assert training_state(path_of(stopped / FOLDER, steps)) == training_state(path_of(whole / FOLDER, steps))
    known, logged = figures(whole), figures(stopped)
    assert logged.items() <= known.items()
    assert len(losses(known)) == steps
    assert len(losses(known) - losses(logged)) <= 1, "the kill takes the row that is not in the log yet"
    for run in (whole, stopped):
        export.main([str(run), str(run / "exported")])
    names = [path.name for path in (whole / "exported").iterdir()]
    assert filecmp.cmpfiles(whole / "exported", stopped / "exported", names, shallow=False) == (names, [], [])
    record_property("steps compared", len(losses(logged)))
    record_property(f"of {len(known)} logged figures compared", len(logged))


@pytest.mark.slow
def test_a_run_killed_at_twenty_moments_ends_as_one_that_was_not(begin, tmp_path, training_state, record_property):
    """A third of them at any moment from its start, a third after a checkpoint, a third while one is being written."""
    steps, whole, killed = 120, tmp_path / "whole", tmp_path / "killed"
    assert begin(whole, steps).wait().returncode == 0
    rng, writing = random.Random(0), 0
    for kill in range(KILLS):
        command, before = begin(killed, steps, workers=kill % 3), newest(killed)
        if kill % 3 == 0:
            time.sleep(rng.uniform(0, 3))
        else:
            wait_for(lambda before=before: newest(killed) > before, command)
        if kill % 3 == 1:
            time.sleep(rng.uniform(0, 0.2))
        if kill % 3 == 2:
            wait_for(lambda: any((killed / FOLDER).glob(".step=*.partial")), command)
        command.process.kill()
        assert command.wait().returncode == -signal.SIGKILL, "it was through: plan more steps"
        writing += any((killed / FOLDER).glob(".step=*.partial"))
    assert writing > 0
    assert begin(killed, steps).wait().returncode == 0

    assert training_state(path_of(killed / FOLDER, steps)) == training_state(path_of(whole / FOLDER, steps))
    known, logged = figures(whole), figures(killed)
    assert logged.items() <= known.items()
    assert len(losses(known)) == steps
    assert len(losses(known) - losses(logged)) <= KILLS
    record_property("kills survived", KILLS)
    record_property("of them while a checkpoint was being written", writing)
    record_property("steps compared", len(losses(logged)))
