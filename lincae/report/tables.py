"""Figures of several models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table


def comparison(models: Mapping[str, Mapping[str, float]], rows: Sequence[tuple[str, str]], title: str = "") -> Table:
    """A table with a row per figure and a column per model.

    Args:
        models: name -> figure -> value.
        rows: (figure, label); an arrow in the label says which way is better. A figure that a model lacks is a dash.
        title: above the table.
    """
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    for name in models:
        table.add_column(name, justify="right")
    for figure, label in rows:
        table.add_row(label, *(_number(figures.get(figure)) for figures in models.values()))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
