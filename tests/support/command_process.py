"""A command line of `lincae` in a process that the fork server of the tests has made."""

import atexit
import multiprocessing
import os
import sys
from collections.abc import Sequence

import torch

from lincae.cli.main import main


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
