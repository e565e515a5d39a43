"""Plots of trainings that were repeated with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from lincae.report.plots import COLOURS
from lincae.report.seeds import Figures, complete


def plot_seeds(models: Mapping[str, Mapping[str, Figures]], labels: Mapping[str, str]) -> Figure:
    """A row of panels for each model, a panel for each figure: its values by variant, a line for each seed.

    Variants are compared along a line, where everything else is equal: lines that run alike say more than their spread.

    Args:
        models: model -> figure -> variant -> value of each seed; a variant without some is left out.
        labels: figure -> label of its panel.
    """
    picture = Figure(figsize=(3.1 * len(labels), 0.8 + 3.2 * len(models)), layout="constrained")
    panels = picture.subplots(len(models), len(labels), squeeze=False)
    for row, (model, figures) in zip(panels, models.items(), strict=True):
        for panel, (name, label) in zip(row, labels.items(), strict=True):
            variants = list(figures[name])
            known = {place: complete(figures[name][variant]) for place, variant in enumerate(variants)}
            known = {place: values for place, values in known.items() if values}
            for number, seed in enumerate(zip(*known.values(), strict=True)):
                panel.plot(list(known), seed, "o-", color=COLOURS[number % len(COLOURS)], markersize=4, linewidth=0.8)
            panel.plot(list(known), [np.mean(values) for values in known.values()], "_k", markersize=16)
            panel.set_title(fill(f"{model}: {label}", 34), fontsize=9)
            panel.set_xticks(range(len(variants)), variants, rotation=40, ha="right", fontsize=8)
            panel.set_xlim(-0.5, len(variants) - 0.5)
            panel.grid(alpha=0.3)
    return picture
