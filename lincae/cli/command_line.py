"""What all commands share: numbers within limits, and how they refuse what they are given."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

REFUSED = 2  # as argparse ends for options that it does not know
INTERRUPTED = 130  # as shells report SIGINT


@contextmanager
def refusals() -> Iterator[None]:
    """Errors that a message explains end the command by `refuse`; others are mistakes in the code, and show where."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        refuse(str(error), error)


def refuse(reason: str, cause: Exception | None = None) -> NoReturn:
    """Ends the command with one line `error: REASON` on standard error, and exit status 2."""
    message = f"error: {' '.join(reason.split())}"
    print(message, file=sys.stderr)
    end = SystemExit(message)  # for whoever catches it
    end.code = REFUSED
    raise end from cause


def number(kind: Callable[[str], float], least: float, most: float = math.inf) -> Callable[[str], float]:
    """Reads a number within limits."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            limits = f"from {least} to {most}" if most < math.inf else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limits}")
        return value

    return read


def named(text: str) -> tuple[str, str]:
    """Name and source of `NAME=SOURCE`; the name is empty where there is a source alone.

    A name ends at the first `=` and has neither `/` nor `:`. What exists as it stands is a source, so that
    `runs/x=1/checkpoints/step=5.ckpt` and, in its folder, `step=5.ckpt` need no name.
    """
    name, sign, source = text.partition("=")
    if not sign or "/" in name or ":" in name or Path(text).exists():
        return "", text
    return name, source


@contextmanager
def resumable() -> Iterator[None]:
    """Ctrl-C ends a command that goes on when it is given again, with a line that says so; SIGTERM and SIGHUP alike."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    closing = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows lacks one
    former = {each: signal.signal(each, stop) for each in closing}
    try:
        yield
    except KeyboardInterrupt:
        print("stopped. The same command goes on where it was", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
