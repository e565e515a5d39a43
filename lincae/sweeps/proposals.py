"""What a sweep tries next."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lincae.streams import stream_seed
from lincae.sweeps.space import Parameter

Configuration = dict[str, Any]
Outcome = tuple[Configuration, float]
"""A configuration that was tried, and its figure; NaN if it has none."""

RANDOM_FIRST = 4
"""Configurations that a Bayesian search draws at random before it learns from them."""


class Proposals(Protocol):
    """Chooses configurations: a function of the seed, the number of the run, and the outcomes so far."""

    @property
    def size(self) -> int | None:
        """How many there are in all; None if there is no end."""

    def __call__(self, number: int, outcomes: Sequence[Outcome]) -> Configuration:
        """The configuration of run `number`, from 0."""


class Grid:
    """Every combination of values, the last parameter changing fastest.

    Args:
        space: the parameters by name.
        seed: not used.
        maximize: not used.

    Raises:
        ValueError: if a parameter has infinitely many values.
    """

    def __init__(self, space: Mapping[str, Parameter], seed: int, maximize: bool) -> None:
        points = itertools.product(*(parameter.points() for parameter in space.values()))
        self._configurations = [dict(zip(space, values, strict=True)) for values in points]
        self.size = len(self._configurations)

    def __call__(self, number: int, outcomes: Sequence[Outcome]) -> Configuration:
        return self._configurations[number]


class Random:
    """Every parameter drawn by itself.

    Args:
        space: the parameters by name.
        seed: of the sweep.
        maximize: not used.
    """

    size = None

    def __init__(self, space: Mapping[str, Parameter], seed: int, maximize: bool) -> None:
        self.space, self.seed = space, seed

    def __call__(self, number: int, outcomes: Sequence[Outcome]) -> Configuration:
        rng = np.random.default_rng(stream_seed(self.seed, "sweep", number))
        return {name: parameter.draw(rng) for name, parameter in self.space.items()}


class Bayes:
    """Optuna's tree-structured Parzen estimator, which tries more often what came out well.

    Args:
        space: the parameters by name.
        seed: of the sweep.
        maximize: whether a larger figure is better.

    Raises:
        ModuleNotFoundError: if Optuna is not installed.
    """

    size = None

    def __init__(self, space: Mapping[str, Parameter], seed: int, maximize: bool) -> None:
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "method: bayes needs Optuna: pip install optuna, or take method: random"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self.seed = optuna, seed
        self._distributions = {name: parameter.distribution() for name, parameter in space.items()}
        directions = optuna.study.StudyDirection
        self._direction = directions.MAXIMIZE if maximize else directions.MINIMIZE

    def __call__(self, number: int, outcomes: Sequence[Outcome]) -> Configuration:
        seed = stream_seed(self.seed, "sweep", number) % 2**32
        sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_FIRST)
        study = self._optuna.create_study(sampler=sampler, direction=self._direction)
        for parameters, figure in outcomes:
            if math.isfinite(figure):
                study.add_trial(
                    self._optuna.trial.create_trial(params=parameters, distributions=self._distributions, value=figure)
                )
        return dict(study.ask(self._distributions).params)


METHODS: dict[str, Callable[[Mapping[str, Parameter], int, bool], Proposals]] = {
    "grid": Grid,
    "random": Random,
    "bayes": Bayes,
}
"""W&B's names of them."""
