"""The parameters of a sweep, and the values that they may take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Args:
        values: what there is to choose from; numbers, texts, true or false.
    """

    values: Sequence[Any]

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def points(self) -> Sequence[Any]:
        """All values, for a grid."""
        return self.values

    def distribution(self) -> Any:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class Interval:
    """A number in [low, high].

    Args:
        low, high: the ends.
        step: distance between the numbers; None for all numbers.
        whole: whether numbers are integers.
        log: uniform in the logarithm.

    Raises:
        ValueError: if the interval is empty, or has no logarithm.
    """

    low: float
    high: float
    step: float | None = None
    whole: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            above = " above 0" if self.log else ""
            raise ValueError(f"min {self.low} and max {self.high} make no interval{above}")

    def draw(self, rng: np.random.Generator) -> float:
        """A number at random."""
        if self.whole or self.step:
            return Choice(self._numbers()).draw(rng)
        if self.log:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return float(rng.uniform(self.low, self.high))

    def points(self) -> Sequence[float]:
        """All numbers, for a grid.

        Raises:
            ValueError: if there are infinitely many.
        """
        if not (self.whole or self.step):
            raise ValueError(f"a grid has no end between {self.low} and {self.high}: give values, or method: random")
        return self._numbers()

    def distribution(self) -> Any:
        """The same for Optuna."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def _numbers(self) -> list[float]:
        if self.whole:
            return list(range(int(self.low), int(self.high) + 1))
        assert self.step is not None
        return [self.low + k * self.step for k in range(math.floor((self.high - self.low) / self.step + 1e-9) + 1)]


Parameter = Choice | Interval

INTERVALS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "int_uniform": {"whole": True},
    "q_uniform": {},
    "log_uniform_values": {"log": True},
}
"""W&B's names of the distributions over an interval that are known here."""


def read_parameter(name: str, given: Any) -> Parameter:
    """A parameter as W&B writes it: `value`, `values`, or `min` and `max` with a `distribution`.

    Args:
        name: of the parameter, for errors.
        given: its mapping in the file.

    Raises:
        ValueError: if it is written otherwise; the message names the parameter.
    """
    keys = set(given) if isinstance(given, Mapping) else set()
    try:
        if keys == {"value"}:
            return Choice([given["value"]])
        if keys == {"values"} and given["values"]:
            return Choice(given["values"])
        if keys - {"distribution", "q"} == {"min", "max"}:
            return read_interval(given)
    except ValueError as error:
        raise ValueError(f"parameters.{name}: {error}") from error
    raise ValueError(
        f"parameters.{name} is {given}: give value, values, or min and max with one of the distributions "
        f"{', '.join(INTERVALS)}"
    )


def read_interval(given: Mapping[str, Any]) -> Interval:
    """`min` and `max`, uniform if nothing else is said: over integers where both are."""
    low, high = given["min"], given["max"]
    if not all(isinstance(end, int | float) for end in (low, high)):
        raise ValueError(f"min {low!r} and max {high!r} must be numbers; YAML reads 1e-4 as a text, and 1.0e-4 as one")
    default = "int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform"
    distribution = given.get("distribution", default)
    if distribution not in INTERVALS:
        raise ValueError(f"the distribution {distribution} is not known here, but {', '.join(INTERVALS)} are")
    if ("q" in given) != (distribution == "q_uniform"):
        raise ValueError("q belongs to the distribution q_uniform, which needs it")
    return Interval(low, high, given.get("q"), **INTERVALS[distribution])
