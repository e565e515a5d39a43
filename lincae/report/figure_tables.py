"""Tables of figures for the page: rows are figures, columns are models, published ones to the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lincae.report.evaluations import Comparison
from lincae.report.glossary import Figure, describe, for_scale
from lincae.report.published import PublishedTable
from lincae.report.results import POINT, Results, digits


class Cell(NamedTuple):
    """A figure of one model.

    Attributes:
        model: label.
        value: as shown; a dash where there is none.
        interval: as shown, or nothing.
        remark: in what it is not quite the figure of its row, or nothing.
    """

    model: str
    value: str
    interval: str = ""
    remark: str = ""


class Row(NamedTuple):
    """A figure.

    Attributes:
        name: as in `results.json`.
        figure: how it is presented.
        scale: what to hold it against.
        cells: of the models.
        published: of published models.
    """

    name: str
    figure: Figure
    scale: str
    cells: list[Cell]
    published: list[Cell]


class FigureTable(NamedTuple):
    """Figures of all models.

    Attributes:
        models: labels of the columns.
        published: source -> names of the published models to the right of them, perhaps none.
        rows: at least one.
    """

    models: list[str]
    published: dict[str, list[str]]
    rows: list[Row]

    @property
    def scaled(self) -> bool:
        """Whether there is something to hold a figure against."""
        return any(row.scale for row in self.rows)


def figure_table(
    comparison: Comparison, names: Sequence[str], stems: int, published: Sequence[PublishedTable] = ()
) -> FigureTable | None:
    """The figures that some model has, measured or published on data of this kind; None if there are none.

    Args:
        comparison: the models.
        names: of figures, in their order.
        stems: of a track.
        published: tables to stand beside.
    """
    kind, gains = comparison.protocol["protocol"], comparison.protocol["gains"]
    beside = [
        (table, model, figures)
        for table in published
        for model, figures in table.figures.get(kind, {}).items()
        if figures.keys() & set(names)
    ]
    rows = [
        Row(
            name,
            describe(name),
            for_scale(name, gains, stems),
            [figure_cell(label, name, model) for label, model in comparison.models.items()],
            [published_cell(table, model, figures, name) for table, model, figures in beside],
        )
        for name in names
        if any(
            name in figures for figures in [*(m.figures for m in comparison.models.values()), *(f for *_, f in beside)]
        )
    ]
    sources: dict[str, list[str]] = {}
    for table, model, _ in beside:
        sources.setdefault(table.source, []).append(model)
    return FigureTable(list(comparison.models), sources, rows) if rows else None


def figure_cell(label: str, name: str, model: Results) -> Cell:
    """Value and interval of a figure."""
    value = model.figures.get(name, math.nan)
    if math.isnan(value):
        return Cell(label, "NaN" if model.counts.get(name) else number(value))
    low, high = model.intervals.get(name, (math.nan, math.nan))
    known = math.isfinite(low) and math.isfinite(high)
    return Cell(label, number(value), f"[{number(low)}, {number(high)}]" if known else "")


def published_cell(table: PublishedTable, model: str, figures: Mapping[str, str], name: str) -> Cell:
    """A figure as printed."""
    if name not in figures:
        return Cell(model, number(math.nan))
    return Cell(model, figures[name], remark=table.remarks.get(name, ""))


def counts_table(comparison: Comparison) -> FigureTable | None:
    """For the figures that some excerpts lack, how many have them; None if there are none."""
    names = dict.fromkeys(
        name for model in comparison.models.values() for name in model.counts if not POINT.search(name)
    )
    lacking = [
        name
        for name in names
        if any(model.counts.get(name, 0) < len(model.excerpts) for model in comparison.models.values())
    ]
    rows = [
        Row(
            name,
            describe(name)._replace(better=""),
            "",
            [Cell(label, f"{m.counts.get(name, 0)} of {len(m.excerpts)}") for label, m in comparison.models.items()],
            [],
        )
        for name in lacking
    ]
    return FigureTable(list(comparison.models), {}, rows) if rows else None


def number(value: float) -> str:
    """Three digits, and more before the point; a dash for NaN."""
    return "—" if math.isnan(value) else digits(value)
