"""`lincae data`: check audio before a training, and prepare it as shards."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from datamodules.rejection import QUARANTINE
from datamodules.shards import CHANNELS, SAMPLE_RATE
from lincae.cli.command_line import INTERRUPTED, number, refusals
from lincae.cli.data_check import run_check
from lincae.cli.data_prepare import RESUMABLE, run_prepare
from lincae.cli.sources import sources


def main(arguments: Sequence[str]) -> None:
    """Run `lincae data check` or `lincae data prepare`."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be of any encoding
    try:
        with refusals():
            good = options.run(sources(options.source, options.recipe, options.root), options)
    except KeyboardInterrupt:
        print(f"stopped. {options.interrupted}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    if not good:
        raise SystemExit(1)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line of `lincae data`."""
    parser = argparse.ArgumentParser(prog="lincae data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="check|prepare")
    check = commands.add_parser(
        "check",
        allow_abbrev=False,
        help="decode everything, print what there is, list broken files",
        description="Decode every file to its end, or compare every shard with its hashes. Print a table for each "
        "corpus, and put broken files on its quarantine list, which training and `prepare` read. The exit status is 1 "
        "if nothing can be used, or more is broken than --max-bad, and 2 if it cannot be checked.",
    )
    prepare = commands.add_parser(
        "prepare",
        allow_abbrev=False,
        help="turn any audio into shards",
        description="Decode every file once, to 16-bit shards at 44.1 kHz in DIR/<name of its folder>. Run the "
        "same command again to continue what was interrupted. The exit status is 1 if more is broken than --max-bad, "
        "and 2 if it cannot be prepared.",
    )
    check.set_defaults(run=run_check, interrupted="What was not finished has to be checked again")
    prepare.set_defaults(run=run_prepare, interrupted=RESUMABLE)
    for command in (check, prepare):
        add_common(command)
    check.add_argument(
        "--quarantine",
        type=Path,
        metavar="FILE",
        help=f"the list of broken files (default: {QUARANTINE} in the folder, or what the configuration names)",
    )
    check.add_argument(
        "--seconds",
        type=number(float, 1e-3),
        default=0.78,
        metavar="S",
        help="length of a crop; shorter files are of no use (default: %(default)s)",
    )
    check.add_argument(
        "--min-sample-rate",
        type=number(int, 0),
        default=SAMPLE_RATE,
        metavar="HZ",
        help="lowest rate of use (default: %(default)s)",
    )
    check.add_argument(
        "--max-channels",
        type=number(int, 1),
        default=2,
        metavar="N",
        help="most channels of use (default: %(default)s)",
    )
    check.add_argument(
        "--silence",
        type=number(float, 0),
        default=1e-3,
        metavar="RMS",
        help="a stretch as long as a crop counts as silent below it; full scale is 1 (default: %(default)s)",
    )
    prepare.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder of all shards")
    prepare.add_argument(
        "--part", type=part, default=(1, 1), metavar="I/N", help="do share I of N; the shares may run at the same time"
    )
    prepare.add_argument(
        "--channels",
        type=int,
        choices=CHANNELS,
        default=CHANNELS[0],
        help="1 keeps the mean of all channels; 2 keeps mono and stereo as they are, which stereo models need, and "
        "leaves out files of more channels (default: %(default)s)",
    )
    prepare.add_argument(
        "--shard-megabytes",
        type=number(int, 1),
        default=512,
        metavar="MB",
        help="size of a shard; a longer file has one of its own (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def add_common(command: argparse.ArgumentParser) -> None:
    """The options that both commands have."""
    command.add_argument(
        "source", nargs="+", help="a folder, or a configuration (NAME.yaml), which stands for all corpora of its data"
    )
    command.add_argument(
        "--recipe",
        default="Corpus",
        metavar="CLASS",
        help="layout of the folders: MTGJamendo, MoisesDB, ..., or a class path (default: any layout)",
    )
    command.add_argument("--root", metavar="DIR", help="where relative paths in configurations begin")
    command.add_argument(
        "--processes", type=number(int, 1), default=os.cpu_count() or 1, metavar="N", help="(default: %(default)s)"
    )
    command.add_argument(
        "--max-bad",
        type=number(float, 0, 1),
        default=0.01,
        metavar="SHARE",
        help="share of files that may be broken, 0 to 1; one file always may (default: %(default)s)",
    )


def part(text: str) -> tuple[int, int]:
    """`3/16` -> (3, 16)."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with 1 <= I <= N, such as 3/16")
    return int(number), int(count)
