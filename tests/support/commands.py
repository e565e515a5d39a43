"""Command lines of `lincae`, each in a process that the fork server of the tests has made."""

import atexit
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import torch

from lincae.cli.main import main

TINY = Path(__file__).parents[1] / "configs" / "tiny.yaml"


class Command:
    """One command line, that runs or has run.

    Args:
        process: runs it.
        output: files of what it prints, and of its errors.
    """

    def __init__(self, process: Any, output: Sequence[Path]) -> None:
        self.process, self.output = process, output

    def wait(self, seconds: float = 600) -> CompletedProcess:
        """Its exit status, negative for a signal, and what it printed.

        Raises:
            TimeoutError: if it takes longer; it is killed then.
        """
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"still running after {seconds} s:\n{self.output[1].read_text()[-4000:]}")
        printed = (path.read_text() for path in self.output)
        return CompletedProcess(self.process.name, self.process.exitcode, *printed)


def run(arguments: Sequence[str], directory: str, environment: dict[str, str], output: Sequence[str]) -> None:
    """Runs it as a shell would.

    Args:
        arguments: after `lincae`.
        directory: to work in.
        environment: all of it.
        output: files for what it prints, and for its errors.
    """
    for stream, path in zip((sys.stdout, sys.stderr), output, strict=True):
        with open(path, "wb") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = ["", *environment.get("PYTHONPATH", "").split(os.pathsep)]
    multiprocessing.set_start_method(None, force=True)  # as in a process of its own
    torch.set_num_threads(1)
    sys.argv[:] = ["lincae", *arguments]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out; W&B ends its run there
