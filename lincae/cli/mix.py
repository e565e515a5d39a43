"""`lincae mix`: a weighted sum of sounds, made of their latents."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from lincae.cli.file_jobs import stoppable
from lincae.cli.sums import Term, add_sum_options, write_sum


def main(arguments: Sequence[str]) -> None:
    """Mix files."""
    parser = argparse.ArgumentParser(
        prog="lincae mix",
        allow_abbrev=False,
        description="Decode the weighted sum of the latents of sounds, and print how far it is from the same sum of "
        "the sounds themselves.",
    )
    parser.add_argument("input", nargs="+", type=Path, metavar="IN", help="audio files of one length and rate")
    parser.add_argument(
        "--gains", nargs="+", type=gain, metavar="GAIN", help="one for each file, also below 0 (default: 1 for each)"
    )
    add_sum_options(parser)
    options = parser.parse_args(arguments)
    with stoppable():
        write_sum(terms(options.input, options.gains), options)


def terms(paths: Sequence[Path], gains: Sequence[float] | None) -> list[Term]:
    """Files with their gains.

    Raises:
        ValueError: if there are not as many of the one as of the other.
    """
    gains = [1.0] * len(paths) if gains is None else gains
    if len(gains) != len(paths):
        raise ValueError(f"--gains are {len(gains)} for {len(paths)} files: give one for each")
    return [Term(path, gain) for path, gain in zip(paths, gains, strict=True)]


def gain(text: str) -> float:
    """Reads a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value
