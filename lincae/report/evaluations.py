"""Finished evaluations: read, and put side by side where they can be compared."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lincae.report.results import Results

PER_MODEL = ("intervals", "counts", "clips", "excerpts", "unreadable", "sha256", "sample_rate", "samples")
SETTINGS = ("protocol", "data", "seconds", "gains", "curve", "embeddings", "noise_seed", "versions")

INCIDENTAL = ("device", "versions")
"""Settings that may differ between figures that are compared."""


class Evaluation(NamedTuple):
    """One `results.json`.

    Attributes:
        file: where it lies.
        models: name -> figures.
        protocol: what all of them depend on.
    """

    file: Path
    models: Mapping[str, Results]
    protocol: Mapping[str, Any]


@dataclass
class Comparison:
    """Models that were measured in the same way on the same data.

    Attributes:
        protocol: the settings that they share, and others of the first evaluation.
        models: label -> figures.
        evaluations: where they come from.
        labels: for each evaluation, name in its file -> label.
    """

    protocol: Mapping[str, Any]
    models: dict[str, Results] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    labels: list[dict[str, str]] = field(default_factory=list)


def read_evaluation(file: Path) -> Evaluation:
    """What `lincae evaluate` wrote.

    Args:
        file: a `results.json`, whose nulls become NaN.

    Raises:
        ValueError: if there is no such file, or it is something else.
    """
    if not file.is_file():
        raise ValueError(f"{file} is no file: give a results.json that lincae evaluate wrote")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read as JSON: {error}") from error
    found = found if isinstance(found, dict) else {}
    lacks = [key for key in ("models", "protocol", *PER_MODEL) if not isinstance(found.get(key), dict)]
    lacks = lacks or [f"protocol.{key}" for key in SETTINGS if key not in found["protocol"]]
    if lacks:
        raise ValueError(
            f"{file} lacks {', '.join(lacks)}: it is not from lincae evaluate, or from an older one. Evaluate again"
        )
    if not found["models"]:
        raise ValueError(f"{file} holds no model: evaluate one")
    models = {
        name: Results(figures=_numbers(figures), **{key: _numbers(found[key][name]) for key in PER_MODEL})
        for name, figures in found["models"].items()
    }
    return Evaluation(file, models, found["protocol"])


def compare(evaluations: Sequence[Evaluation]) -> list[Comparison]:
    """Puts models side by side whose figures depend on the same data and settings.

    A name that stands for one model only is its label. Otherwise the folder of its evaluation is added.

    Raises:
        ValueError: if an evaluation is given twice.
    """
    files = [evaluation.file.resolve() for evaluation in evaluations]
    if twice := [str(file) for file, count in Counter(files).items() if count > 1]:
        raise ValueError(f"given twice: {', '.join(twice)}")
    comparisons: dict[str, Comparison] = {}
    for evaluation, places in zip(evaluations, _ambiguous(evaluations), strict=True):
        comparison = comparisons.setdefault(_settings(evaluation), Comparison(evaluation.protocol))
        labels = {name: f"{name} ({places[name]})" if name in places else name for name in evaluation.models}
        if clash := set(labels.values()) & comparison.models.keys():
            raise ValueError(f"two models would be called {sorted(clash)}: rename one with NAME=MODEL, evaluate again")
        comparison.evaluations.append(evaluation)
        comparison.labels.append(labels)
        comparison.models |= {labels[name]: results for name, results in evaluation.models.items()}
    return list(comparisons.values())


def _ambiguous(evaluations: Sequence[Evaluation]) -> list[dict[str, str]]:
    """For each evaluation, the names that do not stand for one model only, and the folder that tells them apart."""
    folders = [evaluation.file.resolve().parent for evaluation in evaluations]
    names = Counter(folder.name for folder in folders)
    found = []
    for evaluation, folder in zip(evaluations, folders, strict=True):
        others = [other for other in evaluations if other is not evaluation]
        place = folder.name if names[folder.name] == 1 else str(folder)
        found.append({name: place for name in evaluation.models if any(_differ(evaluation, o, name) for o in others)})
    return found


def _differ(one: Evaluation, other: Evaluation, name: str) -> bool:
    """Whether a name stands for different weights in two evaluations, or twice in one comparison."""
    return name in other.models and (
        one.models[name].sha256 != other.models[name].sha256 or _settings(one) == _settings(other)
    )


def _settings(evaluation: Evaluation) -> str:
    """All that the figures depend on besides the model."""
    settings = {key: value for key, value in evaluation.protocol.items() if key not in INCIDENTAL}
    return json.dumps(settings, sort_keys=True)


def _numbers(value: Any) -> Any:
    """The same with NaN for null."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return math.nan if value is None else value
