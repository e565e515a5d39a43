"""The commands `lincae` and `lightning`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "data": "lincae.cli.data",
    "decode": "lincae.cli.decode",
    "demo": "lincae.cli.demo",
    "encode": "lincae.cli.encode",
    "evaluate": "lincae.cli.evaluate",
    "experiment": "lincae.cli.experiment",
    "export": "lincae.cli.export",
    "linear": "lincae.cli.linear",
    "mix": "lincae.cli.mix",
    "replay": "lincae.cli.replay",
    "report": "lincae.cli.report",
    "retrofit": "lincae.cli.retrofit",
    "separate": "lincae.cli.separate",
    "sweep": "lincae.cli.sweep",
}
"""Beside the trainer's own: fit, validate, test, predict."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line; each command is the `main` of one module."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        importlib.import_module(COMMANDS[name]).main(arguments[1:])
    else:
        importlib.import_module("lincae.cli.training").main(arguments)


if __name__ == "__main__":
    main()
