"""Reading the figures of a finished training from its CSV log."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

History = dict[str, list[tuple[int, float]]]
"""Figure -> (step, value) in order."""


def read_history(log: Path) -> History:
    """All values in a `metrics.csv` that Lightning's CSVLogger wrote.

    Args:
        log: the file.

    Returns:
        For each column, its values and the optimiser steps after which they were logged.
    """
    history: History = {}
    with log.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if name != "step" and value:
                    history.setdefault(name, []).append((int(row["step"]) + 1, float(value)))
    return history


def last_figures(history: History) -> dict[str, float]:
    """The last value of each validation figure, without the `val/` prefix and without the curves' points."""
    return {
        name.removeprefix("val/"): values[-1][1]
        for name, values in history.items()
        if name.startswith("val/") and not re.search(r"/a\d", name)
    }


def last_curve(history: History, figure: str) -> dict[float, float]:
    """The last curve of a figure over gains: gain -> value, in order of gain."""
    prefix = f"val/{figure}/a"
    points = {float(name.removeprefix(prefix)): v[-1][1] for name, v in history.items() if name.startswith(prefix)}
    return dict(sorted(points.items()))


def last_line(file: Path) -> tuple[int, dict[str, float]]:
    """Step and figures of the last validation that `callbacks.FiguresFile` wrote down.

    Args:
        file: `figures.jsonl`, which may end in half a line, or not be there.

    Returns:
        The optimiser steps taken, 0 if there was no validation, and figure -> value, NaN where it was not finite.
    """
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    if not lines:
        return 0, {}
    line = json.loads(lines[-1])
    return line.pop("step"), {name: math.nan if value is None else value for name, value in line.items()}
