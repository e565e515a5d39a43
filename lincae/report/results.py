"""What an evaluation found: figures with intervals, as JSON, Markdown, CSV and in the terminal."""

from __future__ import annotations

import csv
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
    rows = headline_rows(results)
    write(folder / "results.md", markdown(rows, list(found)))
    with (folder / "results.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["figure", *found], *rows])
    for table in terminal_tables(found, f"{protocol['protocol']} of {protocol['data']}"):
        Console().print(table)
    print(f"intervals, single stems and other origins: {folder / 'results.md'}; everything: {folder / 'results.json'}")


def terminal_tables(found: Mapping[str, Results], title: str) -> list[Table]:
    """The main figures, in as many tables as the models need at the terminal's width."""
    figures = list(dict.fromkeys(name for of in found.values() for name in of.figures if not DETAIL.search(name)))
    columns = {model: [cell(of.figures.get(name), None) for name in figures] for model, of in found.items()}
    room = left = Console().width - max(map(len, figures)) - 4
    groups: list[list[str]] = [[]]
    for model, cells in columns.items():
        width = max(map(len, [model, *cells])) + 3
        if groups[-1] and width > left:
            groups.append([])
            left = room
        groups[-1].append(model)
        left -= width
    tables = []
    for group in groups:
        table = Table("figure", title=title, title_justify="left")
        for model in group:
            table.add_column(model, justify="right", no_wrap=True)
        for name, *cells in zip(figures, *(columns[model] for model in group), strict=True):
            table.add_row(name, *cells)
        tables.append(table)
    return tables


def headline_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """A row for each figure that is no point of a curve: its name, then the value and interval of each model."""
    models = results["models"]
    names = list(dict.fromkeys(name for figures in models.values() for name in figures if not POINT.search(name)))
    return [
        [name, *(cell(models[model].get(name), results["intervals"][model].get(name)) for model in models)]
        for name in names
    ]


def cell(value: float | None, interval: Sequence[float | None] | None) -> str:
    """`1.23 [1.10, 1.35]`; a dash where there is no value."""
    if value is None or not math.isfinite(value):
        return "-"
    if interval is None or None in interval or not all(map(math.isfinite, interval)):  # type: ignore[arg-type]
        return f"{value:.3g}"
    return f"{value:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"


def markdown(rows: Sequence[Sequence[str]], models: Sequence[str]) -> str:
    """A table in Markdown."""
    lines = [["figure", *models], ["---", *("---:" for _ in models)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


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
