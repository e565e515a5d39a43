"""The runs of a sweep: one `lincae fit` each, in a process and a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lincae.checkpoint_files import FOLDER, newest_first
from lincae.cli.configs import split_configs
from lincae.report.runs import last_line
from lincae.yaml_files import read_yaml

PROGRAM = [sys.executable, "-m", "lincae.cli.main"]
PATIENCE = 120.0
"""Seconds that a run has to write its checkpoint when the sweep is stopped."""


@dataclass
class Run:
    """One configuration, and what became of it.

    Attributes:
        number: from 0.
        folder: of the run.
        parameters: name -> value.
        finished: whether it ended well; None if it has not ended.
        seconds: that all attempts took together.
    """

    number: int
    folder: Path
    parameters: Mapping[str, Any]
    finished: bool | None = None
    seconds: float = 0.0
    _process: subprocess.Popen | None = field(default=None, repr=False)
    _started: float = 0.0

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def start(self, command: Sequence[str], environment: Mapping[str, str], lock: int) -> None:
        """Begin, or go on from the last checkpoint.

        Args:
            command: of the training.
            environment: variables beside those of this process.
            lock: descriptor of a locked file, which stays locked until the run has ended.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        resume = ["--ckpt_path=last"] if newest_first(self.folder / FOLDER) else []
        inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SWEEP_ID"}
        self._started = time.monotonic()
        with (self.folder / "log.txt").open("a") as log:
            self._process = subprocess.Popen(
                [*command, *resume],
                env={**inherited, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C reaches the sweep, which tells its runs
            )

    def ended(self) -> bool:
        """Whether it has; then `finished` and `seconds` say how."""
        assert self._process is not None  # started
        if self._process.poll() is None:
            return False
        self.seconds += time.monotonic() - self._started
        self.finished = self._process.returncode == 0
        return True

    def stop(self) -> None:
        """Ask it to end."""
        assert self._process is not None  # started
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Give it so much time to end, and then end it."""
        assert self._process is not None  # started
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def figures(self) -> tuple[int, dict[str, float]]:
        """Steps taken at the last validation, and its figures."""
        return last_line(self.folder / "figures.jsonl")

    def settings(self) -> Any:
        """The resolved configuration; None if the run did not come so far."""
        file = self.folder / "config.yaml"
        return read_yaml(file) if file.exists() else None

    def complaint(self) -> str:
        """The last line of its output."""
        log = self.folder / "log.txt"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def command_of(template: Sequence[str], extra: Sequence[str], run: Run) -> list[str]:
    """The command line of a run.

    Args:
        template: W&B's list: `${program}`, fit, ..., `${args}`.
        extra: further arguments of `lincae fit`, which go before the parameters. Configurations among them take the
            place of those in the template.
        run: whose parameters and folder are put in.
    """
    arguments = list(template[1:])
    if split_configs(extra)[0]:
        _, arguments = split_configs(arguments)
    place = arguments.index("${args}")
    parameters = [f"--{name}={value}" for name, value in run.parameters.items()]
    return [
        *PROGRAM,
        *arguments[:place],
        *extra,
        *parameters,
        *arguments[place + 1 :],
        f"--trainer.default_root_dir={run.folder}",
        "--callbacks.figures_file=callbacks.FiguresFile",
    ]
