"""Curves: what the headline averages, and where figures exist."""

import pytest
import torch

from lincae.metrics.curve import Curve

NAN = float("nan")


def curve(values, present=None, headline=(0.25, 0.5)):
    """One figure at the points 0.25, 0.5, 1 for clips in order; values (N, 3)."""
    metric = Curve(len(values), ["error"], "q", (0.25, 0.5, 1.0), headline)
    metric.update(torch.tensor(values)[..., None], torch.arange(len(values)), present)
    return metric


def test_columns_points_and_headline():
    metric = curve([[1.0, 2.0, 9.0], [3.0, 6.0, 11.0]])
    scores = {name: value.item() for name, value in metric.compute().items()}
    assert scores == {"error": 3, "error/q0.25": 2, "error/q0.50": 4, "error/q1.00": 10}
    assert metric.curve() == {0.25: {"error": 2}, 0.5: {"error": 4}, 1.0: {"error": 10}}


def test_a_headline_exists_where_all_its_points_do():
    present = torch.tensor([[True, False, True], [True, True, False]])[..., None]
    scores = curve([[1.0, NAN, 9.0], [3.0, 6.0, NAN]], present).compute()
    assert [value.item() for value in scores.values()] == [4.5, 2, 6, 9]


def test_presence_may_be_given_per_clip():
    metric = curve([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]], torch.tensor([True, False])[:, None, None])
    assert [int(count) for count in metric.counts().values()] == [1, 1, 1, 1]


@pytest.mark.parametrize("headline", [(), (0.75,)])
def test_a_headline_must_be_on_the_curve(headline):
    with pytest.raises(ValueError, match=r"headline.*0\.25, 0\.5, 1\.0"):
        curve([[1.0, 2.0, 3.0]], headline=headline)
