"""The demo's promises at their limits, the care that it takes of earlier results, and a short demonstration."""

import json
import math
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import matplotlib.image
import pytest
import soundfile
import yaml
from rich.console import Console

from lincae.cli.demo import (
    GAIN_PANELS,
    MODELS,
    ROWS,
    RUNS,
    consistency_checks,
    deterministic_checks,
    keep_earlier,
    main,
    retrofit_checks,
)
from lincae.cli.trainings import assert_same_but_callbacks

# -------------------------------------------------------------------------------------------------------------- checks

ENCODER = {"encoder/homogeneity_error": 0.5, "encoder/additivity_error": 0.25}
BELOW = {name: math.nextafter(value, 0) for name, value in ENCODER.items()}
AT_LIMITS = {
    # quotients of integers round to the very limits: 51 / 340 = 0.15, 340 / 400 = 0.85, 391 / 340 = 1.15
    "lin-cae": {
        "reconstruction/mss": 340.0,
        "shuffled/mss": 400.0,
        "decoder/homogeneity_snr": 10.0,
        "decoder/additivity_mss": 391.0,
        **BELOW,
    },
    "baseline": {
        "reconstruction/mss": 391.0,
        "shuffled/mss": 460.0,
        "decoder/homogeneity_snr": 4.0,
        "decoder/additivity_mss": 450.0,
        **ENCODER,
    },
    "deterministic": {
        "decoder/homogeneity_snr": 14.0,
        "decoder/additivity_sum_snr": 3.0,
        "reconstruction/si_sdr": 5.0,
        **BELOW,
    },
    "deterministic-baseline": {
        "decoder/homogeneity_snr": 4.0,
        "decoder/additivity_sum_snr": 2.0,
        "reconstruction/si_sdr": 2.0,
        **ENCODER,
    },
    "deterministic-retrofit": {"decoder/homogeneity_snr": 12.0, "reconstruction/si_sdr": 1.0, **BELOW},
}


def failing(checks, **changes: dict[str, float]) -> list[int]:
    """Numbers of the checks that do not hold, with figures at their limits but for some."""
    figures = {name: {**model, **changes.get(name.replace("-", "_"), {})} for name, model in AT_LIMITS.items()}
    return [number for number, check in enumerate(checks(figures)) if not check.holds]


def test_checks_hold_at_their_limits():
    assert failing(consistency_checks) == failing(deterministic_checks) == []
    assert len(consistency_checks(AT_LIMITS)) == 5
    assert len(deterministic_checks(AT_LIMITS)) == 4
    assert failing(retrofit_checks) == []
    assert len(retrofit_checks(AT_LIMITS)) == 3


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (0, {"baseline": {"reconstruction/mss": 391.001}}),
        (0, {"lin_cae": {"reconstruction/mss": 450.0, "shuffled/mss": 1000.0}}),
        (1, {"lin_cae": {"shuffled/mss": 399.99}}),
        (1, {"baseline": {"shuffled/mss": 459.99}}),
        (2, {"lin_cae": {"decoder/homogeneity_snr": 9.99}}),
        (3, {"lin_cae": {"decoder/additivity_mss": 391.01}}),
        (3, {"baseline": {"reconstruction/mss": 340.0, "decoder/additivity_mss": 391.0}}),  # not above its limit
        (4, {"lin_cae": {"encoder/homogeneity_error": 0.5}}),  # equal is not lower
        (4, {"lin_cae": {"encoder/additivity_error": 0.25}}),
    ],
)
def test_a_consistency_check_fails_alone_just_beyond_its_limit(number, changes):
    changes.get("baseline", {}).setdefault("shuffled/mss", 1000.0)
    assert failing(consistency_checks, **changes) == [number]


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (0, {"decoder/homogeneity_snr": 13.99}),
        (1, {"decoder/additivity_sum_snr": 2.99}),
        (2, {"reconstruction/si_sdr": 5.01}),
        (2, {"reconstruction/si_sdr": -1.01}),
        (3, {"encoder/homogeneity_error": 0.5}),
        (3, {"encoder/additivity_error": 0.25}),
    ],
)
def test_a_deterministic_check_fails_alone_just_beyond_its_limit(number, changes):
    assert failing(deterministic_checks, deterministic=changes) == [number]


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (0, {"decoder/homogeneity_snr": 11.99}),
        (1, {"reconstruction/si_sdr": 0.99}),
        (1, {"reconstruction/si_sdr": 3.01}),
        (2, {"encoder/additivity_error": 0.25}),
    ],
)
def test_a_retrofit_check_fails_alone_just_beyond_its_limit(number, changes):
    assert failing(retrofit_checks, deterministic_retrofit=changes) == [number]


def test_worse_reconstruction_may_go_as_far_as_better():
    assert failing(deterministic_checks, deterministic={"reconstruction/si_sdr": -1.0}) == []


def test_no_check_holds_without_figures():
    nothing = {name: dict.fromkeys(model, math.nan) for name, model in AT_LIMITS.items()}
    every = (consistency_checks, deterministic_checks, retrofit_checks)
    assert not any(check.holds for checks in every for check in checks(nothing))


# ------------------------------------------------------------------------------------------------------ configurations

CONFIG = {"callbacks": {"gain": {"p": 0.8}, "materialize": None}, "trainer": {"max_steps": 4}, "seed_everything": 0}


@pytest.fixture
def compare(tmp_path):
    """A function that compares CONFIG with another configuration."""

    def run(other):
        paths = tmp_path / "first.yaml", tmp_path / "second.yaml"
        for path, config in zip(paths, (CONFIG, other), strict=True):
            path.write_text(yaml.safe_dump(config))
        assert_same_but_callbacks(*paths)

    return run


def test_configurations_may_differ_in_callbacks(compare):
    compare({**CONFIG, "callbacks": {"gain": None, "materialize": "callbacks.Materialize"}})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"trainer": {"max_steps": 5}},
        {"callbacks": {}, "trainer": {"max_steps": 5}},
        {"callbacks": {}, "seed_everything": 1},
        {"callbacks": {}, "data": {}},
    ],
)
def test_configurations_that_are_the_same_or_differ_elsewhere_are_refused(compare, changes):
    with pytest.raises(SystemExit, match=r"first\.yaml and .*second\.yaml must differ in callbacks, and in nothing"):
        compare({**CONFIG, **changes})


# ----------------------------------------------------------------------------------------------------- earlier results


def test_earlier_results_are_moved_aside_and_never_overwritten(tmp_path):
    folder = tmp_path / "deep" / "demo"
    text = StringIO()
    for number in range(4):
        keep_earlier(folder, Console(file=text, width=1000))
        assert list(folder.iterdir()) == []
        (folder / "results.json").write_text(str(number))
        if number == 1:
            (tmp_path / "deep" / "demo-2").mkdir()  # somebody else's
    kept = {path.name: [file.read_text() for file in path.iterdir()] for path in folder.parent.iterdir()}
    assert kept == {"demo": ["3"], "demo-1": ["0"], "demo-2": [], "demo-3": ["1"], "demo-4": ["2"]}
    assert [line.rsplit("/", 1)[1] for line in text.getvalue().splitlines()] == ["demo-1", "demo-3", "demo-4"]


@pytest.mark.parametrize("seeds", [["0"], ["0", "1"]])
def test_nothing_is_written_outside_the_output_folder(tmp_path, monkeypatch, seeds):
    def train(trainings, console):
        for training in trainings:
            (root,) = [each.partition("=")[2] for each in training.arguments if each.startswith("--data.root=")]
            assert all((tmp_path / "demo").resolve() in Path(path).parents for path in (root, training.folder))
        raise KeyboardInterrupt

    monkeypatch.setattr("lincae.cli.demo.train", train)
    with pytest.raises(KeyboardInterrupt):
        main(["--output", str(tmp_path / "demo"), "--seeds", *seeds])
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


# --------------------------------------------------------------------------------------------------- a demonstration


@pytest.mark.slow
def test_a_short_demonstration_leaves_its_results(tmp_path):
    """Four steps are too few for the pattern, so it may exit 1."""
    folder = tmp_path / "steps=4"
    short = ["--trainer.max_steps=4", "--data.steps_per_epoch=2", "--data.validation_clips=4"]
    short += ["--data.validation_tracks=4", "--data.clip_count=16", "--data.track_count=2"]
    done = subprocess.run(
        [sys.executable, "-m", "lincae.cli.main", "demo", "--output", str(folder), "--", *short],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    results = json.loads((folder / "results.json").read_text())
    assert done.returncode == (not all(check["holds"] for check in results["checks"])), done.stderr[-2000:]

    assert list(results["models"]) == list(results["curves"]) == list(MODELS)
    assert list(MODELS) == [*RUNS, "deterministic-retrofit"]
    assert list(RUNS) == ["lin-cae", "baseline", "deterministic", "deterministic-baseline"]
    for name, figures in results["models"].items():
        shown = {figure for figure, _ in ROWS}
        if name.startswith("deterministic"):  # still silent: no decode to compare
            shown -= {"decoder/homogeneity_snr", "decoder/homogeneity_mss"}
        assert {figure for figure in shown if not math.isfinite(figures[figure])} == set()
        for figure, _ in GAIN_PANELS:
            assert [float(gain) for gain in results["curves"][name][figure]] == [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3]
    assert len(results["checks"]) == 12
    assert results["protocol"]["seed"] == 0

    for kind in ("consistency", "deterministic"):
        assert matplotlib.image.imread(folder / f"curves-{kind}.png")[..., :3].std() > 0
    stems = ("bass", "drums", "other", "vocals")
    names = {"original", "reconstruction", "decoded-sum", "decoded-half", "decoded-double", *stems}
    names |= {f"{stem}-by-subtraction" for stem in stems}
    for model in MODELS:
        sounds = {path.stem: soundfile.info(path) for path in (folder / model / "sounds").iterdir()}
        assert sounds.keys() == names
        assert {info.samplerate for info in sounds.values()} == {16_000}
        assert len({info.frames for info in sounds.values()}) == 1
