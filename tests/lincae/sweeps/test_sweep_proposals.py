"""What is tried next: all of a grid, the same draws for a seed, and better ones as a Bayesian search learns."""

import math
import statistics
import sys

import pytest

from lincae.sweeps.proposals import Bayes, Grid, Random
from lincae.sweeps.space import Choice, Interval

SPACE = {"x": Interval(-3.0, 3.0), "y": Choice(["left", "right"]), "n": Interval(1, 4, whole=True)}


def test_a_grid_is_every_combination_once():
    space = {"a": Choice([True, False]), "b": Interval(1, 3, whole=True), "c": Interval(0.0, 0.5, 0.25)}
    grid = Grid(space, 0, True)
    assert grid.size == 18
    found = [grid(number, []) for number in range(18)]
    assert found[:2] == [{"a": True, "b": 1, "c": 0.0}, {"a": True, "b": 1, "c": 0.25}]
    assert len({tuple(each.items()) for each in found}) == 18


def test_a_grid_without_end_is_refused():
    with pytest.raises(ValueError, match=r"a grid has no end between -3\.0 and 3\.0"):
        Grid(SPACE, 0, True)


@pytest.mark.parametrize("method", [Random, Bayes])
def test_configurations_depend_on_seed_number_and_outcomes_alone(method):
    one, two, other = method(SPACE, 0, True), method(SPACE, 0, True), method(SPACE, 1, True)
    outcomes = [(one(number, []), float(number)) for number in range(6)]
    for number in (3, 9):
        assert one(number, outcomes) == two(number, outcomes)
    assert one(3, []) != one(4, [])
    assert one(3, []) != other(3, [])
    assert (one.size, method.size) == (None, None)


@pytest.mark.parametrize("maximize", [True, False])
def test_a_bayesian_search_finds_a_peak_sooner_than_chance(maximize):
    """The peak is at x = 1 on the right; the mean distance of the last ten of thirty tries, over three seeds."""

    def figure(parameters):
        miss = abs(parameters["x"] - 1) + 2 * (parameters["y"] == "left")
        return -miss if maximize else miss

    def last(method, seed):
        search, outcomes = method(SPACE, seed, maximize), []
        for number in range(30):
            parameters = search(number, outcomes)
            outcomes.append((parameters, figure(parameters)))
        return statistics.mean(abs(value) for _, value in outcomes[20:])

    bayes, chance = (statistics.mean(last(method, seed) for seed in range(3)) for method in (Bayes, Random))
    assert bayes < 0.75 * chance


def test_runs_without_a_figure_teach_nothing():
    search = Bayes(SPACE, 0, True)
    outcomes = [(search(number, []), math.nan) for number in range(10)]
    assert search(10, outcomes) == search(10, [])


def test_without_optuna_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install optuna"):
        Bayes(SPACE, 0, True)
