"""What an evaluation found: figures with intervals, as JSON, Markdown, CSV and in the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

POINT = re.compile(r"/(a-?\d+\.\d\d|r\d\.\d\d|k\d+)$")
"""Where the name of a point of a curve goes beyond that of its figure."""


DETAIL = re.compile(rf"{POINT.pattern}|centered|_all$|_inactive$|^separation(_sum)?/.+_(mss|si_sdr|dbfs)$")
"""Names of figures that the terminal's table leaves to the files."""


@dataclass
class Results:
    """The figures of one model.

    Attributes:
        sha256: of the model's weights.
        sample_rate: Hz.
        samples: of an excerpt.
        figures: name -> figure of all excerpts, mostly a mean; NaN where no excerpt has it.
        intervals: name -> 95 % interval over tracks; NaN where there is none.
        counts: name -> number of excerpts that have the figure.
        clips: name -> value of each excerpt, NaN where it has none; not for distances of sets. Of a mean over stems it
            is the mean over those that the excerpt has, so that the figure need not be the mean of these.
        excerpts: name of the clip or track, and first sample, of each excerpt.
        unreadable: excerpts that could not be read.
    """

    sha256: str
    sample_rate: int
    samples: int
    figures: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    clips: dict[str, list[float]] = field(default_factory=dict)
    excerpts: list[tuple[str, int]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        named: Any,
        measured: Sequence[Any],
        excerpts: Sequence[Any],
        stems: Sequence[str],
        samples: int,
        unreadable: list[str],
    ) -> Results:
        """Summarises the tables of all figures."""
        results = cls(named.sha256, named.model.sample_rate, samples, unreadable=unreadable)
        results.excerpts = [(excerpt.name, excerpt.start) for excerpt in excerpts]
        tracks = torch.tensor([excerpt.track for excerpt in excerpts])
        for each in measured:
            for name, figure in each.figures.summaries(tracks).items():
                key = suffixed(name, each.suffix)
                results.figures[key] = float(figure.value)
                if figure.number is not None:
                    results.counts[key] = figure.number
                    results.intervals[key] = (float(figure.low), float(figure.high))
                if figure.clips is not None:
                    results.clips[key] = figure.clips.tolist()
        return results


def suffixed(name: str, suffix: str) -> str:
    """The name of a figure with a suffix, which goes before the point of a curve."""
    point = POINT.search(name)
    return name + suffix if point is None else name[: point.start()] + suffix + name[point.start() :]


def write_results(folder: Path, found: Mapping[str, Results], protocol: Mapping[str, Any]) -> None:
    """Writes `results.json`, `results.md` and `results.csv`, and prints the table.

    Args:
        folder: where to.
        found: of each model by name.
        protocol: what all figures depend on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "models": {name: of.figures for name, of in found.items()},
        **{
            key: {name: getattr(of, key) for name, of in found.items()}
            for key in ("intervals", "counts", "clips", "excerpts", "unreadable", "sha256", "sample_rate", "samples")
        },
        "protocol": protocol,
    }
    write(folder / "results.json", json.dumps(finite(results), indent=1, allow_nan=False) + "\n")
    write(folder / "results.md", markdown(found))
    write(folder / "results.csv", long_table(found))
    for table in terminal_tables(found, f"{protocol['protocol']} of {protocol['data']}"):
        Console().print(table)
    print(f"intervals, single stems and other origins: {folder / 'results.md'}; everything: {folder / 'results.json'}")


def terminal_tables(found: Mapping[str, Results], title: str) -> list[Table]:
    """The main figures, with intervals if they fit; in as many tables as the models need at the terminal's width."""
    figures = list(dict.fromkeys(name for of in found.values() for name in of.figures if not DETAIL.search(name)))
    room = left = Console().width - max(map(len, figures), default=0) - 4
    columns = {model: [cell(of, name) for name in figures] for model, of in found.items()}
    if sum(width(model, cells) for model, cells in columns.items()) > room:
        columns = {model: [value(of, name) for name in figures] for model, of in found.items()}
    groups: list[list[str]] = [[]]
    for model, cells in columns.items():
        if groups[-1] and width(model, cells) > left:
            groups.append([])
            left = room
        groups[-1].append(model)
        left -= width(model, cells)
    tables = []
    for group in groups:
        table = Table("figure", title=escape(title), title_justify="left")
        for model in group:
            table.add_column(escape(model), justify="right", no_wrap=True)
        for name, *cells in zip(figures, *(columns[model] for model in group), strict=True):
            table.add_row(*map(escape, (name, *cells)))
        tables.append(table)
    return tables


def width(model: str, cells: Sequence[str]) -> int:
    """Characters that a column takes."""
    return max(map(len, [model, *cells])) + 3


def markdown(found: Mapping[str, Results]) -> str:
    """A table in Markdown: a row for each figure that is no point of a curve, a column for each model."""
    names = dict.fromkeys(name for of in found.values() for name in of.figures if not POINT.search(name))
    head = ["figure", *(model.replace("|", r"\|") for model in found)]
    return markdown_table(head, [[name, *(cell(of, name) for of in found.values())] for name in names])


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown whose first column is text and whose others are numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def long_table(found: Mapping[str, Results]) -> str:
    """All figures, points of curves too, as CSV: a line for each model and figure, an empty cell for no number."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["model", "figure", "value", "low", "high", "clips"])
    for model, of in found.items():
        for name, mean in of.figures.items():
            lines.writerow(finite([model, name, mean, *of.intervals.get(name, (None, None)), of.counts.get(name)]))
    return text.getvalue()


def cell(of: Results, name: str) -> str:
    """`1.23 [1.10, 1.35]`; without brackets where there is no interval."""
    low, high = of.intervals.get(name, (math.nan, math.nan))
    known = math.isfinite(of.figures.get(name, math.nan)) and math.isfinite(low) and math.isfinite(high)
    return f"{value(of, name)} [{digits(low)}, {digits(high)}]" if known else value(of, name)


def value(of: Results, name: str) -> str:
    """`1.23`; a dash where no excerpt has the figure, and NaN where some diverged."""
    mean = of.figures.get(name, math.nan)
    if math.isfinite(mean):
        return digits(mean)
    return "NaN" if of.counts.get(name) else "-"


def digits(number: float) -> str:
    """A finite number: three digits, and more before the point."""
    return f"{number:,.0f}" if 999.5 <= abs(number) < 1e6 else f"{number:.3g}"


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(file: Path, text: str) -> None:
    """Writes a file as a whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)
