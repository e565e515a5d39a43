"""`lincae sweep` with a stand-in for the training, which takes no time and fails where it is told to."""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lincae.cli import sweep, sweep_runs
from lincae.cli.locking import LOCK, locked
from lincae.cli.sweep_runs import Run, command_of

STAND_IN = """
import json, os, sys, time
from pathlib import Path

import yaml

given = dict(text.removeprefix("--").split("=", 1) for text in sys.argv[1:] if "=" in text)
folder = Path(given["trainer.default_root_dir"])
low, high = 0.0, float(given["model.gain_schedule.high"])
config = {"trainer": {"max_steps": 10}, "model": {"init_args": {"gain_schedule": {"low": low, "high": high}}}}
(folder / "config.yaml").write_text(yaml.safe_dump(config))
with (folder / "calls.jsonl").open("a") as calls:
    names = ("OMP_NUM_THREADS", "WANDB_RUN_ID", "WANDB_RUN_GROUP", "WANDB_SWEEP_ID")
    calls.write(json.dumps({"argv": sys.argv[1:], "env": {n: os.environ.get(n) for n in names}}) + "\\n")
if "broken" in given and Path(given["broken"]).exists() and 2 <= high < 3:
    print("a traceback")
    sys.exit("RuntimeError: the loss of step 4 is not finite")
if "wait" in given and Path(given["wait"]).exists() and "ckpt_path" not in given and 2 <= high < 3:
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_text("half")
    time.sleep(60)
figures = {"val/decoder/homogeneity_snr": -(high - 2.2) ** 2, "val/reconstruction/mss": high}
with (folder / "figures.jsonl").open("a") as out:
    out.write(json.dumps({"step": 5, **figures, "val/reconstruction/mss": None}) + "\\n")
    out.write(json.dumps({"step": 10, **figures}) + "\\n")
"""
GRID = {
    "program": "lincae",
    "method": "grid",
    "metric": {"name": "val/decoder/homogeneity_snr", "goal": "maximize"},
    "parameters": {
        "model.gain_schedule.high": {"values": [1.0, 2.0, 3.0]},
        "model.gain_schedule.anneal": {"values": [True, False]},
    },
    "command": ["${program}", "fit", "--config", "lincae.yaml", "${args}"],
}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The stand-in, in the place of `lincae`."""
    file = tmp_path / "stand_in.py"
    file.write_text(STAND_IN)
    monkeypatch.setattr(sweep_runs, "PROGRAM", [sys.executable, str(file)])
    monkeypatch.chdir(tmp_path)
    return file


@pytest.fixture
def run(program, tmp_path):
    """A function that runs a sweep to its end, and returns its exit status."""

    def run(*arguments: str, content=GRID) -> int:
        file = tmp_path / "my-sweep.yaml"
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        try:
            sweep.main([str(file), "-o", "out", *arguments])
        except SystemExit as end:
            return end.code
        return 0

    return run


def calls(number: int) -> list[dict]:
    """How a run was called."""
    return [json.loads(line) for line in Path(f"out/runs/{number:03d}/calls.jsonl").read_text().splitlines()]


def results() -> dict:
    return json.loads(Path("out/results.json").read_text())


def test_a_whole_grid_is_run_and_reported(run, capsys):
    assert run("--processes=2") == 0
    found = results()
    assert (found["metric"], found["goal"]) == ("val/decoder/homogeneity_snr", "maximize")
    highs = [each["parameters"]["model.gain_schedule.high"] for each in found["runs"]]
    assert highs == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    for each in found["runs"]:
        high = each["parameters"]["model.gain_schedule.high"]
        assert (each["finished"], each["step"], each["gain_range"]) == (True, 10, [0.0, high])
        assert each["figures"]["val/decoder/homogeneity_snr"] == pytest.approx(-((high - 2.2) ** 2))
    with open("out/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["model.gain_schedule.anneal"] for row in rows] == 3 * ["True", "False"]
    assert [float(row["val/reconstruction/mss"]) for row in rows] == highs
    assert Path("out/sweep.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    table = [line.split()[1] for line in printed.splitlines() if line.startswith("│ 0")]
    assert table[:2] == ["002", "003"]  # best first


def test_runs_get_arguments_threads_and_a_name_for_wandb(run, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "foreign")
    assert run("--processes=1", "--", "--config", "mine.yaml", "--data.train=music") == 0
    (call,) = calls(1)
    assert call["argv"] == [
        "fit",
        "--config",
        "mine.yaml",
        "--data.train=music",
        "--model.gain_schedule.high=1.0",
        "--model.gain_schedule.anneal=False",
        "--trainer.default_root_dir=out/runs/001",
        "--callbacks.figures_file=callbacks.FiguresFile",
    ]
    environment = call["env"]
    assert environment["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))
    assert environment["WANDB_SWEEP_ID"] is None
    assert environment["WANDB_RUN_GROUP"].startswith("sweep-")
    identities = {calls(number)[0]["env"]["WANDB_RUN_ID"] for number in range(6)}
    assert len(identities) == 6


def test_a_failing_run_is_named_and_the_rest_go_on(run, tmp_path, capsys):
    (tmp_path / "now").touch()
    arguments = ("--", f"--broken={tmp_path}/now")
    assert run(*arguments) == 1
    found = results()
    assert [each["finished"] for each in found["runs"]] == [True, True, False, False, True, True]
    assert found["runs"][2]["complaint"] == "RuntimeError: the loss of step 4 is not finite"
    error = capsys.readouterr().err
    for number in (2, 3):
        assert f"failed: out/runs/00{number}: RuntimeError: the loss of step 4 is not finite" in error

    (tmp_path / "now").unlink()
    assert run(*arguments) == 0  # the same command tries again what failed, and nothing else
    assert [len(calls(number)) for number in range(6)] == [1, 1, 2, 2, 1, 1]
    assert all(each["finished"] for each in results()["runs"])


def test_a_larger_count_adds_runs_to_those_that_are_done(run):
    assert run("--count=2") == 0
    assert len(results()["runs"]) == 2
    assert run("--count=4") == 0
    assert [len(calls(number)) for number in range(4)] == [1, 1, 1, 1]
    assert run("--count=100") == 0
    assert len(results()["runs"]) == 6  # the grid has no more


@pytest.mark.slow
def test_a_killed_sweep_goes_on_from_the_last_checkpoint(program, tmp_path):
    """SIGTERM to the command, in a process of its own, while the third run waits."""
    (tmp_path / "my-sweep.yaml").write_text(yaml.safe_dump(GRID, sort_keys=False))
    (tmp_path / "slow").touch()
    code = (
        "import sys; from lincae.cli import sweep, sweep_runs; "
        f"sweep_runs.PROGRAM = [sys.executable, {str(program)!r}]; sweep.main(sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "my-sweep.yaml",
        "-o",
        "out",
        "--processes=1",
        "--",
        f"--wait={tmp_path}/slow",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    half = tmp_path / "out" / "runs" / "002" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not half.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert refused.returncode == 2
    assert "a sweep is at work in out" in refused.stderr
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on where it was" in error
    assert len(results()["runs"]) == 2

    (tmp_path / "slow").unlink()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert [len(calls(number)) for number in range(6)] == [1, 1, 2, 1, 1, 1]
    first, second = calls(2)
    assert second["argv"] == [*first["argv"], "--ckpt_path=last"]
    assert second["env"]["WANDB_RUN_ID"] == first["env"]["WANDB_RUN_ID"]


def test_runs_that_outlive_a_killed_sweep_keep_their_folder_locked(run, tmp_path):
    """A run holds the lock as long as it lives."""
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    assert run() == 2
    child.communicate(b"\n")
    assert run("--count=1") == 0


def test_a_refused_sweep_leaves_the_journal_of_the_one_at_work_alone(run, capsys):
    assert run("--count=3") == 0
    journal = Path("out/journal.jsonl")
    with journal.open("a") as stream:
        stream.write('{"run": 3, "para')  # as the other one is writing it
    written = journal.read_bytes()
    with locked(Path("out"), "a sweep"):
        assert run("--count=4") == 2
        assert "at work in out" in capsys.readouterr().err
        assert journal.read_bytes() == written
    assert run("--count=4") == 0


def test_a_journal_that_ends_in_half_a_line_is_read(run):
    assert run("--count=3") == 0
    with open("out/journal.jsonl", "a") as journal:
        journal.write('{"run": 2, "fini')
    assert run("--count=4") == 0
    assert [len(calls(number)) for number in range(4)] == [1, 1, 1, 1]


def test_another_sweep_in_the_same_folder_is_refused(run, capsys):
    assert run("--count=1") == 0
    assert run("--count=1", "--seed=1") == 2
    assert "journal.jsonl is of a sweep with other seed: give another -o" in capsys.readouterr().err


def test_a_search_without_end_needs_a_count(run, capsys):
    assert run(content={**GRID, "method": "random"}) == 2
    assert "say how many runs with --count" in capsys.readouterr().err
    assert not Path("out").exists()
    assert run(content={**GRID, "method": "random", "run_cap": 2}) == 0
    assert len(results()["runs"]) == 2


def test_a_bayesian_sweep_learns_from_its_runs(run):
    space = {"model.gain_schedule.high": {"min": 1.0, "max": 5.0}}
    assert run("--count=12", "--processes=1", content={**GRID, "method": "bayes", "parameters": space}) == 0
    highs = [each["parameters"]["model.gain_schedule.high"] for each in results()["runs"]]
    misses = [abs(high - 2.2) for high in highs]
    assert sum(misses[4:]) / 8 < sum(misses[:4]) / 4


def test_parameters_come_behind_the_arguments_of_the_command_line():
    found = command_of(
        ["${program}", "fit", "--config=a.yaml", "${args}", "--last"], ["-c", "b.yaml"], Run(0, Path("f"), {"p": 1})
    )
    assert found[len(sweep_runs.PROGRAM) :][:5] == ["fit", "-c", "b.yaml", "--p=1", "--last"]
