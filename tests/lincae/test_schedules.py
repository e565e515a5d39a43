"""Schedules at points computed by hand."""

import math

import pytest
import torch

from lincae.schedules import GainSchedule, LearningRateSchedule, StepSchedule, ema_decay, half_cosine


@pytest.mark.parametrize(
    ("progress", "low", "high"),
    [
        (0.0, 0.0, 3.0),
        (0.2, 0.0, 3.0),
        (0.2 + 0.7 / 3, 0.25, 2.5),  # cos(pi / 3) = 1 / 2: three quarters of the width
        (0.55, 0.5, 2.0),  # half way
        (0.2 + 1.4 / 3, 0.75, 1.5),
        (0.9, 1.0, 1.0),
        (1.0, 1.0, 1.0),
    ],
)
def test_the_annealed_gain_range(progress, low, high):
    assert GainSchedule()(progress) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("progress", [0.0, 0.2, 0.55, 0.9, 1.0])
def test_the_gain_range_without_annealing(progress):
    assert GainSchedule(anneal=False)(progress) == (0.0, 3.0)
    assert GainSchedule(low=-2.0, high=0.5, anneal=False)(progress) == (-2.0, 0.5)


def test_other_gain_ranges_narrow_to_one_as_well():
    schedule = GainSchedule(low=-3.0, high=0.5, hold=0.0, end=1.0)
    assert schedule(0.0) == (-3.0, 0.5)
    assert schedule(0.5) == pytest.approx((-1.0, 0.75))
    assert schedule(1.0) == (1.0, 1.0)


def test_the_gain_range_only_narrows():
    ranges = [GainSchedule()(i / 200) for i in range(201)]
    assert [low for low, _ in ranges] == sorted(low for low, _ in ranges)
    assert [high for _, high in ranges] == sorted((high for _, high in ranges), reverse=True)


def test_an_empty_gain_range_is_refused():
    with pytest.raises(ValueError, match=r"\[2.0, 1.5\]"):
        GainSchedule(low=2.0, high=1.5)


@pytest.mark.parametrize(("hold", "end"), [(-0.1, 0.9), (0.9, 0.9), (0.9, 0.2), (0.2, 1.1)])
def test_gain_schedules_that_make_no_sense_are_refused(hold, end):
    with pytest.raises(ValueError, match=f"hold={hold}, end={end}"):
        GainSchedule(hold=hold, end=end)


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [(StepSchedule(), (0.1, 0.1**1.5, 0.01)), (StepSchedule(end=3.0), (0.1, 0.01, 0.001))],
    ids=["lin-cae", "music2latent"],
)
def test_the_step_between_noise_levels(schedule, steps):
    assert [schedule(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx(steps)


def test_the_step_of_a_tensor():
    step = StepSchedule()(torch.full((), 0.5))
    assert step.shape == ()
    assert step.item() == pytest.approx(0.1**1.5, rel=1e-6)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [
        (0.0, 0.0),
        (1 / 160, 0.5),
        (1 / 80, 1.0),
        ((1 + 1 / 80) / 2, 0.505),
        (1.0, 0.01),
    ],
)
def test_the_learning_rate(progress, factor):
    assert LearningRateSchedule()(progress) == pytest.approx(factor, abs=1e-12)


def test_the_learning_rate_without_warm_up():
    schedule = LearningRateSchedule(warmup=0.0, final=0.2)
    assert [schedule(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.6, 0.2])


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 10_000])
def test_a_warm_up_that_is_no_share_is_refused(warmup):
    with pytest.raises(ValueError, match=str(warmup)):
        LearningRateSchedule(warmup=warmup)


def test_half_cosine():
    points = {-1.0: 1.0, 0.0: 1.0, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1.0: 0.0, 5.0: 0.0}
    assert [half_cosine(x) for x in points] == pytest.approx(list(points.values()), abs=1e-12)


def test_the_decay_of_averaged_weights():
    assert ema_decay(1, 0.9999) == 2 / 11
    assert ema_decay(2, 0.9999) == 3 / 12
    assert ema_decay(10**6, 0.9999) == 0.9999
    assert ema_decay(1, 0.1) == 0.1
    # (1 + n) / (10 + n) reaches d at n = (10 d - 1) / (1 - d)
    reached = math.ceil((10 * 0.99 - 1) / (1 - 0.99))
    assert ema_decay(reached - 2, 0.99) < 0.99
    assert ema_decay(reached + 1, 0.99) == 0.99
