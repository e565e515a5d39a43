"""Trainings in two processes, as torchrun starts them, against the same training in one; and what ends them."""

import csv
import os
import signal
import socket
import time

import pytest
import torch
from commands import TINY

from lincae.checkpoint_files import FOLDER, path_of, steps_in

STEPS = 12


@pytest.fixture
def train(start, music):
    """Starts a training of batches of four clips in two groups, on a number of processes."""

    def run(folder, processes, *more):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        arguments = [
            *("fit", "--config", str(TINY), f"--data.train={music}", "--data.group_size=2"),
            *("--data.validation_clips=4", "--data.validation_tracks=4"),
            *(f"--trainer.max_steps={STEPS}", "--callbacks.checkpoints.every_n_train_steps=2"),
            *("--callbacks.checkpoints.keep=-1", "--callbacks.witness=witness.Witness"),
            *(f"--trainer.default_root_dir={folder}", f"--trainer.logger.save_dir={folder}"),
            *(
                f"--trainer.devices={processes}",
                "--trainer.strategy=ddp" if processes > 1 else "--trainer.strategy=auto",
            ),
            *more,
        ]
        together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
        sizes = dict.fromkeys(["WORLD_SIZE", "LOCAL_WORLD_SIZE"], str(processes)) | {"GROUP_RANK": "0"}
        return [
            start(*arguments, **together, **sizes, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(processes)
        ]

    return run


def statuses(commands):
    """Exit statuses, once all have ended."""
    return [command.wait(120).returncode for command in commands]


def figures(folder, name):
    """Step -> value of one logged figure."""
    with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row.get(name)}


def wait_for_checkpoint(folder, commands):
    while not steps_in(folder / FOLDER):
        assert commands[0].process.exitcode is None, commands[0].wait().stderr
        time.sleep(0.01)


def test_two_processes_train_as_one_does(train, tmp_path):
    one, two, halves = tmp_path / "one", tmp_path / "two", tmp_path / "halves"
    runs = {
        one: train(one, 1),
        two: train(two, 2),
        # a batch of four is two batches of two
        halves: train(halves, 1, "--data.batch_size=2", "--trainer.accumulate_grad_batches=2"),
    }
    for commands in runs.values():
        assert statuses(commands) == [0] * len(commands), commands[0].wait().stderr
    ((whole, averaged),) = [torch.load(one / "process=0.pt")]
    parts = [torch.load(two / f"process={rank}.pt") for rank in range(2)]
    (split, _) = torch.load(halves / "process=0.pt")

    assert len(whole) == len(parts[0][0]) == len(split) / 2 == STEPS
    for step, (clips, matrix, losses) in enumerate(whole):
        for shares in ([part[0][step] for part in parts], split[2 * step : 2 * step + 2]):
            assert [clip for share in shares for clip in share[0]] == clips
            assert len(set(shares[0][0]) & set(shares[1][0])) == 0, "each reads other clips"
            torch.testing.assert_close(torch.block_diag(*(share[1] for share in shares)), matrix, rtol=0, atol=0)
            torch.testing.assert_close(torch.cat([share[2] for share in shares]), losses, rtol=1e-3, atol=1e-3)
    for name, value in averaged.items():
        torch.testing.assert_close(parts[0][1][name], parts[1][1][name], rtol=0, atol=0)
        torch.testing.assert_close(parts[0][1][name], value, rtol=1e-4, atol=1e-5)
    spreads = [torch.load(path_of(run / FOLDER, STEPS), weights_only=True)["latent_std"] for run in (one, two)]
    assert spreads[1] == pytest.approx(spreads[0], rel=1e-3)
    for name in ("train/loss", "val/reconstruction/mss", "val/encoder/additivity_error", "val/separation/si_sdr"):
        expected = figures(one, name)
        assert expected
        assert figures(two, name) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("signalled", [[1], pytest.param([0, 1], marks=pytest.mark.slow)], ids=["one", "all"])
def test_a_signal_stops_all_processes_after_the_same_step(train, tmp_path, signalled, training_state):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    uninterrupted, commands = train(whole, 2), train(stopped, 2)
    wait_for_checkpoint(stopped, commands)
    for rank in signalled:
        os.kill(commands[rank].process.pid, signal.SIGTERM)
    assert statuses(commands) == [os.EX_TEMPFAIL] * 2
    assert "stopped by SIGTERM after step" in commands[0].wait().stderr
    assert max(steps_in(stopped / FOLDER)) < STEPS
    assert statuses(train(stopped, 2, "--ckpt_path=last")) == statuses(uninterrupted) == [0, 0]
    assert training_state(path_of(stopped / FOLDER, STEPS)) == training_state(path_of(whole / FOLDER, STEPS))


@pytest.mark.parametrize("dead", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_dead_process_ends_the_run(train, tmp_path, dead):
    commands = train(tmp_path, 2, "--trainer.max_steps=1000")
    wait_for_checkpoint(tmp_path, commands)
    commands[dead].process.kill()
    ended = statuses(commands)
    assert ended[dead] == -signal.SIGKILL
    assert ended[1 - dead] not in (0, os.EX_TEMPFAIL)
