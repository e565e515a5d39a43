"""Intervals over seeds, against scipy's; tables of levels and of paired differences."""

import math

import numpy as np
import pytest
from scipy import stats

from lincae.report.seeds import STUDENT, difference, differences, half_width, level, table


@pytest.mark.parametrize("freedom", STUDENT)
def test_quantiles_are_students(freedom):
    assert STUDENT[freedom] == pytest.approx(stats.t.ppf(0.975, freedom), abs=6e-4)


@pytest.mark.parametrize("count", [2, 3, 11])
def test_the_interval_is_that_of_a_mean(count):
    values = np.random.default_rng(count).normal(3, 2, count)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert half_width(list(values)) == pytest.approx((high - low) / 2, rel=3e-4)


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    rows = np.random.default_rng(0).normal(size=(4000, 3))
    inside = np.mean([abs(row.mean()) <= half_width(list(row)) for row in rows])
    assert inside == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_between_two_quantiles_the_wider_interval_is_taken():
    values = list(np.random.default_rng(1).normal(size=13))  # 12 degrees: the quantile of 10
    assert half_width(values) == pytest.approx(STUDENT[10] * np.std(values, ddof=1) / math.sqrt(13))
    assert half_width(values) > stats.t.ppf(0.975, 12) * stats.sem(values)


def test_levels():
    assert level([1.0, 3.0, 2.0]) == "2 ± 2.48"
    assert level([1.5]) == "1.5"
    assert level([1.0, None]) == level([1.0, math.nan]) == level([]) == "-"


def test_differences_are_paired_and_bold_where_zero_is_outside():
    noise = [5.0, -3.0, 1.0]
    assert difference([2 + each for each in noise], noise) == "**+2 ± 0**"
    assert difference([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == "0 ± 2.48"
    assert difference([1.0], [3.0]) == "-2"
    assert difference([1.0, None], [1.0, 2.0]) == "-"


def test_tables():
    found = {"a/b": {"x": [1.0, 2.0], "y": [4.0, 5.0]}}
    assert table("model", {"a/b": "label"}, found).splitlines() == [
        "| model | x | y |",
        "| --- | ---: | ---: |",
        "| label | 1.5 ± 6.35 | 4.5 ± 6.35 |",
    ]
    shown = differences("model", {"a/b": "label"}, found, {"y": "x"}).splitlines()
    assert shown == ["| model | y less x |", "| --- | ---: |", "| label | **+3 ± 0** |"]
