"""`lincae separate`: what is left of a mix when the latents of known parts are subtracted from its own."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lincae.cli.file_jobs import stoppable
from lincae.cli.sums import Term, add_sum_options, write_sum


def main(arguments: Sequence[str]) -> None:
    """Take parts out of a mix."""
    parser = argparse.ArgumentParser(
        prog="lincae separate",
        allow_abbrev=False,
        description="Subtract the latents of parts from those of their mix, decode what is left, and print how far it "
        "is from the mix minus the parts. The parts have to be known: this shows what the latents can do, and "
        "separates nothing that is not given.",
    )
    parser.add_argument("mix", type=Path, metavar="MIX", help="audio file")
    parser.add_argument(
        "--minus", nargs="+", type=Path, required=True, metavar="PART", help="audio files of the mix's length and rate"
    )
    add_sum_options(parser)
    options = parser.parse_args(arguments)
    with stoppable():
        write_sum([Term(options.mix, 1.0), *(Term(part, -1.0) for part in options.minus)], options)
