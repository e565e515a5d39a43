"""Several trainings, each in a process and a folder of its own, behind one progress bar each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lincae.checkpoint_files import FOLDER, newest_first
from lincae.report.runs import read_history
from lincae.yaml_files import read_yaml

PATIENCE = 60.0
"""Seconds that a training has to write its checkpoint when the command is stopped."""

COLUMNS = (TextColumn("{task.description:24}"), BarColumn(), TextColumn("{task.fields[state]}"))


class Training:
    """One `lincae fit`, which goes on from its last checkpoint where there is one.

    Attributes:
        name: of the model.
        folder: of the run.
        process: once started.
    """

    process: subprocess.Popen

    def __init__(self, name: str, folder: Path, arguments: Sequence[str]) -> None:
        self.name, self.folder, self.arguments = name, folder, arguments

    def start(self, threads: int, descriptors: Sequence[int]) -> Training:
        """Start in the run's folder, so that runs that are compared name the same one: `.`.

        Args:
            threads: of its arithmetic.
            descriptors: of files that are to stay open, and locked, until it has ended.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        resume = ["--ckpt_path=last"] if newest_first(self.folder / FOLDER) else []
        command = [sys.executable, "-m", "lincae.cli.main", "fit", *self.arguments, *resume]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        with (self.folder / "log.txt").open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
            )
        return self

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def update(self, progress: Progress, task: TaskID) -> bool:
        """Show how far it is; True once it has ended.

        Raises:
            SystemExit: if it failed, with the end of its log.
        """
        ended = self.process.poll() is not None
        if ended and self.process.returncode:
            tail = (self.folder / "log.txt").read_text()[-3000:]
            raise SystemExit(
                f"{tail}\nerror: training {self.name} failed; all of its output is in {self.folder}/log.txt"
            )
        total, step, loss = self._state()
        state = f"step {step}/{total}  loss {loss:.3f}" if step else "starting"
        progress.update(task, total=total, completed=step, state=state)
        return ended

    def _state(self) -> tuple[int | None, int, float]:
        try:
            total = read_yaml(self.folder / "config.yaml")["trainer"]["max_steps"]
            log = max((self.folder / "csv").glob("version_*"), key=lambda path: int(path.name.split("_")[1]))
            losses = read_history(log / "metrics.csv")["train/loss"]
        except (FileNotFoundError, KeyError, TypeError, ValueError):  # not written yet, or only in part
            return None, 0, 0.0
        return total, *losses[-1]


def train(
    trainings: Sequence[Training],
    console: Console,
    at_a_time: int = 2,
    threads: int = 1,
    descriptors: Sequence[int] = (),
) -> None:
    """Run trainings, so many at a time, with so many threads each.

    Args:
        trainings: in the order in which they are started.
        console: for their bars.
        at_a_time, threads: how the cores are shared.
        descriptors: of files that stay open, and locked, until all trainings have ended.

    Raises:
        SystemExit: if one fails; then the others are stopped.
    """
    waiting, running = list(trainings), list[Training]()
    with Progress(*COLUMNS, TimeRemainingColumn(), console=console) as progress:
        tasks = {t.name: progress.add_task(t.name, total=None, state="waiting") for t in waiting}
        try:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    running.append(waiting.pop(0).start(threads, descriptors))
                time.sleep(0.5)
                for training in list(running):
                    if training.update(progress, tasks[training.name]):
                        running.remove(training)
        finally:
            for training in running:
                training.stop()


def assert_same_but_callbacks(first: Path, second: Path) -> None:
    """Both resolved configurations must be equal without their callbacks, or the comparison would not be fair."""
    one, two = (read_yaml(path) for path in (first, second))
    if one.pop("callbacks") == two.pop("callbacks") or one != two:
        raise SystemExit(f"error: {first} and {second} must differ in callbacks, and in nothing else")
