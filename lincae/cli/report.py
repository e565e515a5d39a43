"""`lincae report`: finished evaluations as one page to read and listen to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lincae.cli.command_line import refusals
from lincae.report.page import write_report


def main(arguments: Sequence[str]) -> None:
    """Write the page and print where it is."""
    parser = argparse.ArgumentParser(prog="lincae report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULTS", help="results.json that lincae evaluate wrote, one or more"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of the page")
    options = parser.parse_args(arguments)
    with refusals():
        print(write_report(options.results, options.output))
