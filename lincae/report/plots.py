"""Plots of what has a shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from lincae.report.runs import History, last_curve

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito's, safe for the colour-blind


def plot_training(
    models: Mapping[str, History], figures: Sequence[tuple[str, str]], curves: Sequence[tuple[str, str]], path: Path
) -> None:
    """One panel per figure over training, and one per curve over gains, a line per model.

    Args:
        models: name -> history.
        figures: (name of a figure, label of its axis).
        curves: the same for figures over gains; gain 1, where a model agrees with itself, is left out.
        path: of the picture, whose ending gives its format.
    """
    columns = 3
    rows = -(-(len(figures) + len(curves)) // columns)
    picture = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False).flatten()
    for axis, (figure, label) in zip(axes, figures, strict=False):
        for (name, history), colour in zip(models.items(), COLOURS, strict=False):
            steps, values = zip(*history[f"val/{figure}"], strict=True)
            axis.plot(steps, values, marker="o", markersize=3, color=colour, label=name)
        axis.set(xlabel="optimiser steps", ylabel=label)
    for axis, (figure, label) in zip(axes[len(figures) :], curves, strict=False):
        for (name, history), colour in zip(models.items(), COLOURS, strict=False):
            points = {gain: value for gain, value in last_curve(history, figure).items() if gain != 1}
            axis.plot(list(points), list(points.values()), marker="o", markersize=3, color=colour, label=name)
        axis.set(xlabel="gain", ylabel=label, xscale="log")
        axis.set_xticks(list(points), [f"{gain:g}" for gain in points], minor=False)
        axis.minorticks_off()
    for axis in axes[len(figures) + len(curves) :]:
        axis.set_axis_off()
    for axis in axes[: len(figures) + len(curves)]:
        axis.grid(alpha=0.3)
    axes[0].legend()
    picture.savefig(path, dpi=130)
