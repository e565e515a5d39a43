"""`lincae sweep`: trainings over a search space, on one machine and without a server."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lincae.cli.command_line import number, refusals, resumable
from lincae.cli.configs import find_config
from lincae.cli.journal import Lines
from lincae.cli.locking import locked
from lincae.cli.sweep_runs import PATIENCE, Run, command_of
from lincae.machine import cores
from lincae.report.sweeps import SweptRun, write_sweep
from lincae.sweeps.file import Sweep, read_sweep
from lincae.sweeps.proposals import Proposals

COLUMNS = (TextColumn("{task.description:16}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())


def main(arguments: Sequence[str]) -> None:
    """Run the sweep, or what is left of it; the exit status is 1 if a run failed."""
    options = parse(arguments)
    with refusals():
        sweep = read_sweep(find_config(options.sweep))
        bench = Bench(sweep, options)
        with locked(options.output, "a sweep") as lock:
            bench.recall()
            try:
                with resumable():
                    bench.work(lock)
            finally:
                runs = [swept(run) for run in bench.runs if run.finished is not None]
                write_sweep(options.output, runs, sweep.metric, sweep.maximize)
    failed = [run for run in bench.runs[: bench.count] if not run.finished]
    for run in failed:
        print(f"failed: {run.folder}: {run.complaint()}", file=sys.stderr)
    if any((options.output / "runs").glob("*/wandb/offline-run-*")):
        print(f"To W&B, whenever there is a key: wandb sync {options.output}/runs/*/wandb/offline-run-*")
    if failed:
        raise SystemExit(1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of `lincae sweep`."""
    parser = argparse.ArgumentParser(
        prog="lincae sweep",
        description=__doc__,
        usage="%(prog)s SWEEP [--count N] [-o DIR] [--processes N] [--seed SEED] [-- ARGUMENT ...]",
        epilog="What stands behind a -- is passed to every `lincae fit`.",
        allow_abbrev=False,
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a W&B sweep file, or the name of one in configs/")
    parser.add_argument("--count", type=number(int, 1), metavar="N", help="runs (default: run_cap, or the whole grid)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs/sweep"), metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--processes",
        type=number(int, 1),
        metavar="N",
        help="runs at a time (default: as many as there are cores; 1 on a GPU)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of configurations (default: %(default)s)")
    own = list(itertools.takewhile(lambda text: text != "--", arguments))
    options = parser.parse_args(own)
    options.extra = list(arguments[len(own) + 1 :])
    return options


class Bench:
    """The state of a sweep in its folder.

    Args:
        sweep: what is tried.
        options: of the command line.

    Attributes:
        runs: all that were begun, by number.

    Raises:
        ValueError: if there is no number of runs.
    """

    def __init__(self, sweep: Sweep, options: argparse.Namespace) -> None:
        self.sweep, self.folder, self.extra = sweep, options.output, options.extra
        self.proposals: Proposals = sweep.proposals(options.seed)
        self.count = count_of(sweep, options.count, self.proposals.size)
        self.processes = min(options.processes or (1 if torch.cuda.is_available() else cores()), self.count)
        self.threads = max(1, cores() // self.processes)
        self.identity = {
            "method": sweep.method,
            "metric": sweep.metric,
            "maximize": sweep.maximize,
            "space": {name: repr(parameter) for name, parameter in sweep.space.items()},
            "command": sweep.command,
            "arguments": options.extra,
            "seed": options.seed,
        }
        self.digest = hashlib.blake2b(
            json.dumps([self.identity, str(self.folder.resolve())], sort_keys=True).encode(), digest_size=4
        ).hexdigest()
        self.runs: list[Run] = []

    def recall(self) -> None:
        """Take in the journal, which opening repairs: only while nobody else can write to it.

        Raises:
            ValueError: if it is of another sweep.
        """
        self.journal = Lines(self.folder / "journal.jsonl", self.identity, "a sweep")
        for entry in self.journal.entries:
            self._recall(entry)

    def work(self, lock: int) -> None:
        """Start what is left, so many at a time, until all have ended.

        Args:
            lock: descriptor of the folder's lock, which every run keeps until it has ended.
        """
        self.lock = lock
        waiting = [run for run in self.runs[: self.count] if not run.finished]
        for run in waiting:
            run.finished = None  # what failed is tried again
        running: list[Run] = []
        with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
            tasks: dict[int, Any] = {}
            whole = progress.add_task("sweep", total=self.count, state="")
            try:
                while True:
                    while len(running) < self.processes and (begun := self._next(waiting)):
                        self._start(begun)
                        running.append(begun)
                        tasks[begun.number] = progress.add_task(begun.name, total=None, state="starting")
                    if not running:
                        break
                    time.sleep(0.2)
                    for run in list(running):
                        show(progress, tasks[run.number], run)
                        if run.ended():
                            running.remove(run)
                            progress.remove_task(tasks.pop(run.number))
                            self.journal.add({"run": run.number, "finished": run.finished, "seconds": run.seconds})
                    progress.update(whole, **self._tally())
            finally:
                for run in running:
                    run.stop()
                for run in running:
                    run.wait(PATIENCE)

    def _tally(self) -> dict[str, Any]:
        """How far the sweep is."""
        ended = [run for run in self.runs if run.finished is not None]
        failed = len([run for run in ended if not run.finished])
        return {"completed": len(ended), "state": f"{len(ended)}/{self.count} runs, {failed} failed"}

    def _next(self, waiting: list[Run]) -> Run | None:
        """The next run to start; None if all were."""
        if waiting:
            return waiting.pop(0)
        place = len(self.runs)
        if place >= self.count:
            return None
        outcomes = [
            (dict(run.parameters), run.figures()[1].get(self.sweep.metric, math.nan))
            for run in self.runs
            if run.finished
        ]
        entry = {"run": place, "parameters": self.proposals(place, outcomes)}
        self.journal.add(entry)
        self._recall(entry)
        return self.runs[-1]

    def _start(self, run: Run) -> None:
        environment = {
            "OMP_NUM_THREADS": str(self.threads),
            "WANDB_RUN_ID": f"{self.digest}-{run.name}",  # the same when it has to begin again
            "WANDB_RUN_GROUP": f"sweep-{self.digest}",
        }
        run.start(command_of(self.sweep.command, self.extra, run), environment, self.lock)

    def _recall(self, entry: Any) -> None:
        """Take in a line of the journal."""
        if "parameters" in entry:
            folder = self.folder / "runs" / f"{entry['run']:03d}"
            self.runs.append(Run(entry["run"], folder, entry["parameters"]))
        else:
            run = self.runs[entry["run"]]
            run.finished, run.seconds = entry["finished"], entry["seconds"]


def count_of(sweep: Sweep, asked: int | None, size: int | None) -> int:
    """How many runs there will be."""
    limits = [limit for limit in (asked or sweep.cap, size) if limit is not None]
    if not limits:
        raise ValueError(f"method: {sweep.method} has no end: say how many runs with --count")
    return min(limits)


def show(progress: Progress, task: Any, run: Run) -> None:
    """How far a run is, as its last validation says."""
    step, _ = run.figures()
    if step:
        settings = run.settings()
        progress.update(task, total=settings["trainer"]["max_steps"], completed=step, state=f"validated at step {step}")


def swept(run: Run) -> SweptRun:
    """What the report says of a run."""
    step, figures = run.figures()
    settings = run.settings()
    gains = settings["model"]["init_args"].get("gain_schedule") if settings else None
    return SweptRun(
        name=run.name,
        folder=str(run.folder),
        parameters=run.parameters,
        finished=bool(run.finished),
        seconds=run.seconds,
        step=step,
        figures=figures,
        gain_range=(gains["low"], gains["high"]) if gains else None,
        complaint="" if run.finished else run.complaint(),
    )
