"""Does the framework teach linearity? A whole training, from the command line to the figures, with and without it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from datamodules.synthetic import bank

CONFIG = Path(__file__).parents[1] / "configs" / "bank.yaml"
BASELINE = ["--callbacks.gain=null", "--callbacks.materialize=callbacks.Materialize"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> dict[str, dict[str, float]]:
    """The last validation figures of both models, trained side by side on a bank of sixteen sounds."""
    sounds = tmp_path_factory.mktemp("bank")
    for number, sound in enumerate(bank(16_000, 2400)):
        soundfile.write(sounds / f"{number:02}.wav", sound, 16_000)
    runs = {}
    for name, changes in (("linear", []), ("baseline", BASELINE)):
        folder = tmp_path_factory.mktemp(name)
        data = [f"--data.train={sounds}", f"--data.validation={sounds}"]
        command = [sys.executable, "-m", "lincae.cli.main", "fit", "--config", str(CONFIG), *data, *changes]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        runs[name] = folder, subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    results = {}
    for name, (folder, process) in runs.items():
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        with (folder / "csv" / "version_0" / "metrics.csv").open() as file:
            last = [row for row in csv.DictReader(file) if row["val/reconstruction/mss"]][-1]
        results[name] = {key: float(value) for key, value in last.items() if key.startswith("val/") and value}
    return results


def test_both_learn_to_reconstruct(figures):
    for name in ("linear", "baseline"):
        assert figures[name]["val/reconstruction/si_sdr"] > 6
        assert figures[name]["val/reconstruction/mss"] < 0.85 * figures[name]["val/shuffled/mss"]


def test_implicit_gains_teach_homogeneity(figures):
    linear, baseline = (figures[name]["val/decoder/homogeneity_snr"] for name in ("linear", "baseline"))
    assert linear > 15
    assert linear > baseline + 10


def test_implicit_mixes_teach_additivity(figures):
    linear, baseline = (figures[name]["val/decoder/additivity_sum_snr"] for name in ("linear", "baseline"))
    assert linear > baseline + 1
