"""The search space: what W&B's file means, and draws from it."""

import numpy as np
import pytest

from lincae.sweeps.file import interpret, read_sweep
from lincae.sweeps.space import Choice, Interval, read_parameter

COMMAND = ["${program}", "fit", "--config", "lincae.yaml", "${args}"]
SWEEP = {
    "program": "lincae",
    "method": "random",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "parameters": {"a": {"values": [1, 2]}},
    "command": COMMAND,
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": 3}, Choice([3])),
        ({"values": [True, False]}, Choice([True, False])),
        ({"min": 0.0, "max": 1}, Interval(0.0, 1)),
        ({"min": 1, "max": 4}, Interval(1, 4, whole=True)),
        ({"min": 1, "max": 4, "distribution": "uniform"}, Interval(1, 4)),
        ({"min": 1e-5, "max": 1e-2, "distribution": "log_uniform_values"}, Interval(1e-5, 1e-2, log=True)),
        ({"min": 0.0, "max": 1.0, "distribution": "q_uniform", "q": 0.25}, Interval(0.0, 1.0, 0.25)),
    ],
)
def test_parameters_as_wandb_writes_them(given, expected):
    assert read_parameter("a", given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"values": []}, r"parameters\.gain is .*give value, values, or min and max"),
        ({"min": 2.0, "max": 1.0}, r"parameters\.gain: min 2\.0 and max 1\.0 make no interval"),
        ({"min": 0, "max": 1.0, "distribution": "log_uniform_values"}, "make no interval above 0"),
        ({"min": 0.0, "max": 1.0, "distribution": "beta"}, "distribution beta is not known here, but uniform"),
        ({"min": 0.0, "max": 1.0, "distribution": "q_uniform"}, "q belongs to the distribution q_uniform"),
        ({"mu": 0.0, "sigma": 1.0, "distribution": "normal"}, "give value, values, or min and max"),
        ({"min": "1e-4", "max": 1.0}, r"YAML reads 1e-4 as a text, and 1\.0e-4 as one"),
        ({"parameters": {"b": {"value": 1}}}, "give value, values, or min and max"),
        (3, r"parameters\.gain is 3"),
    ],
)
def test_what_is_not_known_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        read_parameter("gain", given)


def test_draws_stay_inside_and_spread_evenly():
    rng = np.random.default_rng(0)
    uniform = [Interval(1.0, 4.0).draw(rng) for _ in range(4000)]
    assert 1 <= min(uniform) < 1.05
    assert 3.95 < max(uniform) <= 4
    assert np.mean(uniform) == pytest.approx(2.5, abs=0.05)
    logarithms = np.log10([Interval(1e-4, 1.0, log=True).draw(rng) for _ in range(4000)])
    assert np.mean(logarithms) == pytest.approx(-2, abs=0.08)
    whole = [Interval(1, 3, whole=True).draw(rng) for _ in range(300)]
    assert set(whole) == {1, 2, 3}
    stepped = [Interval(0.0, 1.0, 0.25).draw(rng) for _ in range(300)]
    assert set(stepped) == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {Choice(["x", None]).draw(rng) for _ in range(50)} == {"x", None}


def test_a_sweep_is_read():
    sweep = interpret(SWEEP)
    assert (sweep.method, sweep.metric, sweep.maximize, sweep.cap) == ("random", "val/loss", False, None)
    assert sweep.space == {"a": Choice([1, 2])}
    assert interpret({**SWEEP, "name": "x", "project": "y", "run_cap": 7}).cap == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate can only be had from W&B's server"),
        ({"metod": "grid"}, "metod can only be had"),
        ({"method": "hyperopt"}, "method is 'hyperopt', and must be one of grid, random, bayes"),
        ({"metric": {"name": "val/loss"}}, "must have a name and a goal"),
        ({"program": "train.py"}, "program 'train.py'"),
        ({"command": ["${program}", "fit", "${args_json}"]}, "only 'lincae' with the command"),
    ],
)
def test_other_sweeps_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        interpret({**SWEEP, **change})


def test_errors_name_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("method: grid")
    with pytest.raises(ValueError, match=r"mine\.yaml: no sweep: it lacks command, metric, parameters"):
        read_sweep(file)
