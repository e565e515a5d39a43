"""Differences between models on the same excerpts: they tell models apart whose own intervals overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import torch

from lincae.metrics import paired_difference
from lincae.report.glossary import HIGHER, LOWER, describe, parts_of
from lincae.report.results import DETAIL, Results, digits, markdown_table, write


class Difference(NamedTuple):
    """A figure of one model less that of another.

    Attributes:
        mean: over the excerpts that both have.
        low, high: of its 95 % interval over tracks; NaN where there is none.
        remark: which model is better, and whether their own intervals overlap, in words.
    """

    mean: float
    low: float
    high: float
    remark: str

    @property
    def told_apart(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def value(self) -> str:
        """`+0.12`."""
        return ("+" if self.mean > 0 else "") + digits(self.mean)

    @property
    def interval(self) -> str:
        """`[0.10, 0.14]`, or nothing."""
        return f"[{digits(self.low)}, {digits(self.high)}]" if math.isfinite(self.low + self.high) else ""

    def __str__(self) -> str:
        """`**+0.12 [0.10, 0.14]**, lin-cae is better, intervals overlap`; bold where the interval excludes 0."""
        number = f"{self.value} {self.interval}".strip()
        return ", ".join(filter(None, [f"**{number}**" if self.told_apart else number, self.remark]))


Pair = tuple[str, str]
"""A model, and the one that is taken from it."""


def differences(
    models: Mapping[str, Results], names: Sequence[str], seconds: float
) -> dict[Pair, dict[str, Difference]]:
    """Of every two models, the difference of each figure that both have for single excerpts.

    Args:
        models: label -> figures.
        names: of figures.
        seconds: from one excerpt of a track to the next, by which those of different sample rates are matched.
    """
    places = {label: places_of(model, seconds) for label, model in models.items()}
    rows = {place: row for row, place in enumerate(dict.fromkeys(each for of in places.values() for each in of))}
    tracks = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in rows))}
    groups = torch.tensor([tracks[name] for name, _ in rows])
    found: dict[Pair, dict[str, Difference]] = {}
    for one, other in combinations(models, 2):
        common = [
            name
            for name in names
            if all(math.isfinite(models[label].figures.get(name, math.nan)) for label in (one, other))
            and all(name in models[label].clips for label in (one, other))
        ]
        parts = {name: parts_of(name, models[one].clips.keys() & models[other].clips.keys()) for name in common}
        columns = list(dict.fromkeys(column for of in parts.values() for column in of))
        tables = []
        for label in (one, other):
            table = torch.full((len(rows), len(columns)), math.nan, dtype=torch.float64)
            values = torch.tensor([models[label].clips[column] for column in columns], dtype=torch.float64)
            table[[rows[place] for place in places[label]]] = values.reshape(len(columns), len(places[label])).mT
            tables.append(table)
        averages = [[columns.index(column) for column in parts[name]] for name in common]
        found[one, other] = {}
        if common:
            bounds = torch.stack(paired_difference(tables[0], tables[1], groups, averages)).mT.tolist()
            for name, (mean, low, high) in zip(common, bounds, strict=True):
                if math.isfinite(mean):
                    remark = remark_on(name, mean, low, high, models[one], models[other], one, other)
                    found[one, other][name] = Difference(mean, low, high, remark)
    return found


def write_differences(folder: Path, models: Mapping[str, Results], seconds: float) -> None:
    """Writes `differences.md`, a row for each main figure, a column for every two models; nothing for one model."""
    names = dict.fromkeys(name for model in models.values() for name in model.figures if not DETAIL.search(name))
    found = differences(models, list(names), seconds)
    rows = [
        [name, *(str(of[name]) if name in of else "-" for of in found.values())]
        for name in names
        if any(name in of for of in found.values())
    ]
    if rows:
        head = ["figure", *(f"{one} less {other}".replace("|", r"\|") for one, other in found)]
        write(folder / "differences.md", markdown_table(head, rows))


def places_of(model: Results, seconds: float) -> list[tuple[str, int]]:
    """Track of each excerpt, and its number there."""
    step = round(seconds * model.sample_rate)
    return [(name, start // step) for name, start in model.excerpts]


def remark_on(
    name: str, mean: float, low: float, high: float, first: Results, second: Results, one: str, other: str
) -> str:
    """What a difference says in words."""
    better = {LOWER: mean < 0, HIGHER: mean > 0}.get(describe(name).better)
    if not (low > 0 or high < 0):
        verdict = "" if math.isnan(low) else "not told apart"
    else:
        verdict = "" if better is None else f"{one if better else other} is better"
    (low, high), (lower, higher) = (of.intervals.get(name, (math.nan, math.nan)) for of in (first, second))
    return ", ".join(filter(None, [verdict, "intervals overlap" if low <= higher and lower <= high else ""]))
