"""What a sweep found: a table, files, and a plot of figures over what was varied."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from lincae.report.plots import COLOURS
from lincae.report.results import finite, write

FIGURES = {
    "val/decoder/homogeneity_snr": "homogeneity SNR, dB ↑",
    "val/decoder/additivity_mss": "additivity MSS ↓",
    "val/reconstruction/mss": "reconstruction MSS ↓",
}
"""What is shown of every run, beside the figure that the sweep optimises."""

RANGE = ("model.gain_schedule.low", "model.gain_schedule.high")


@dataclass
class SweptRun:
    """A run that has ended.

    Attributes:
        name, folder: of the run.
        parameters: name -> value.
        finished: whether it ended well.
        seconds: that it took.
        step: optimiser steps at its last validation.
        figures: of that validation, by name.
        gain_range: of random gains at the start; None if the run has none.
        complaint: the last line of its output if it failed.
    """

    name: str
    folder: str
    parameters: Mapping[str, Any]
    finished: bool
    seconds: float
    step: int
    figures: Mapping[str, float]
    gain_range: tuple[float, float] | None = None
    complaint: str = ""

    def figure(self, name: str) -> float:
        """One figure; NaN if the run failed, or has none of that name."""
        return self.figures.get(name, math.nan) if self.finished else math.nan


def write_sweep(folder: Path, runs: Sequence[SweptRun], metric: str, maximize: bool) -> None:
    """Write `results.json`, `results.csv` and `sweep.png`, and print the table.

    Args:
        folder: where to.
        runs: all that have ended.
        metric: the figure that is optimised.
        maximize: whether a larger one is better.
    """
    shown = shown_figures(metric)
    best = sorted(runs, key=lambda run: rank(run.figure(metric), maximize))
    folder.mkdir(parents=True, exist_ok=True)
    content = {"metric": metric, "goal": "maximize" if maximize else "minimize", "runs": [asdict(run) for run in runs]}
    write(folder / "results.json", json.dumps(finite(content), indent=1, allow_nan=False) + "\n")
    write(folder / "results.csv", table_of(runs))
    Console().print(terminal_table(best, shown))
    if any(run.finished for run in runs):
        plot_sweep([run for run in runs if run.finished], shown, folder / "sweep.png")
        print(f"pictures: {folder / 'sweep.png'}; everything: {folder / 'results.json'}, {folder / 'results.csv'}")


def shown_figures(metric: str) -> dict[str, str]:
    """Name -> label, the optimised figure first."""
    label = FIGURES.get(metric, metric.removeprefix("val/"))
    return {metric: label, **{name: text for name, text in FIGURES.items() if name != metric}}


def rank(value: float, maximize: bool) -> tuple[bool, float]:
    """What to sort by: the best first, those without a value last."""
    return math.isnan(value), -value if maximize else value


def parameters_of(runs: Sequence[SweptRun]) -> list[str]:
    """All that were varied."""
    return list(dict.fromkeys(name for run in runs for name in run.parameters))


def table_of(runs: Sequence[SweptRun]) -> str:
    """A row for each run, with parameters and figures under their full names."""
    parameters = parameters_of(runs)
    figures = list(dict.fromkeys(name for run in runs for name in run.figures))
    stream = io.StringIO()
    rows = csv.writer(stream)
    rows.writerow(["run", "finished", "seconds", "step", *parameters, *figures])
    for run in runs:
        values = [run.figures.get(name, math.nan) for name in figures]
        rows.writerow(
            [run.name, run.finished, round(run.seconds, 1), run.step]
            + [run.parameters.get(name, "") for name in parameters]
            + ["" if math.isnan(value) else value for value in values]
        )
    return stream.getvalue()


def terminal_table(runs: Sequence[SweptRun], shown: Mapping[str, str]) -> Table:
    """A row for each run, in the order given."""
    table = Table("run", title="Sweep, best run first", title_justify="left")
    for label in shown.values():
        table.add_column(label, justify="right")
    table.add_column("parameters", overflow="fold")
    for run in runs:
        values = [run.figure(name) for name in shown]
        table.add_row(
            run.name if run.finished else f"{run.name} failed",
            *("-" if math.isnan(value) else f"{value:.3g}" for value in values),
            ", ".join(f"{short(name)}\N{NO-BREAK SPACE}{setting(value)}" for name, value in run.parameters.items()),
        )
    return table


def short(parameter: str) -> str:
    """The last two parts of a name."""
    return ".".join(parameter.split(".")[-2:])


def setting(value: Any) -> str:
    """A value of a parameter."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plot_sweep(runs: Sequence[SweptRun], shown: Mapping[str, str], path: Path) -> None:
    """A row of panels for each figure: over the gain range, and over each further parameter.

    Args:
        runs: those that finished.
        shown: figure -> label.
        path: of the picture.
    """
    parameters = [name for name in parameters_of(runs) if name not in RANGE]
    picture = Figure(figsize=(3.4 * (len(parameters) + 1), 2.7 * len(shown)), layout="constrained")
    axes = picture.subplots(len(shown), len(parameters) + 1, squeeze=False, sharey="row")
    for row, (figure, label) in zip(axes, shown.items(), strict=True):
        plot_ranges(row[0], runs, figure)
        row[0].set_ylabel(label)
        for axis, name in zip(row[1:], parameters, strict=True):
            plot_values(axis, runs, name, figure)
        for axis in row:
            axis.grid(alpha=0.3)
    for axis, text in zip(axes[-1], ["gain range at the start", *map(short, parameters)], strict=True):
        axis.set_xlabel(text)
    picture.savefig(path, dpi=130)


def plot_ranges(axis: Axes, runs: Sequence[SweptRun], figure: str) -> None:
    """Each run as a line from its lowest to its highest gain, at the height of its figure."""
    for run in runs:
        if run.gain_range:
            height = run.figure(figure)
            axis.plot(run.gain_range, [height, height], color=COLOURS[0], marker="|", alpha=0.8)
            axis.annotate(run.name, (run.gain_range[1], height), (3, 0), textcoords="offset points", fontsize=7)
    axis.margins(x=0.15)  # for the names


def plot_values(axis: Axes, runs: Sequence[SweptRun], name: str, figure: str) -> None:
    """A figure over one parameter: at its values if they are numbers, else side by side."""
    values = [run.parameters.get(name) for run in runs]
    heights = [run.figure(figure) for run in runs]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        places: list[Any] = list(values)
    else:
        labels = sorted(set(map(str, values)))
        places = [labels.index(str(value)) for value in values]
        axis.set_xticks(range(len(labels)), labels)
        axis.set_xlim(-0.5, len(labels) - 0.5)
    axis.plot(places, heights, "o", color=COLOURS[1], alpha=0.8)
