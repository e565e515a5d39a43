"""The benchmark of joins tells a good join from a bad one."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from lincae import Autoencoder
from lincae.autoencoders.controls import PowerLawSpectrogram
from lincae.stft import Spectrogram

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "joins.py"
CHUNK = 8192


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("joins_benchmark", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model():
    return Autoencoder(PowerLawSpectrogram(Spectrogram(128, 512), sample_rate=8000))


@pytest.fixture
def files():
    """Noise without the Nyquist frequency, which the STFT loses."""
    noise = torch.randn(2, 1, 60_000, generator=torch.Generator().manual_seed(0))
    return list(torch.nn.functional.avg_pool1d(noise, 2, 1))


def test_joins_of_a_local_model_are_as_its_inside(bench, model, files):
    count, there, inside, whole, worst, *mss = bench.compare(model, files, CHUNK, seamless=True, padded_edges=True)
    assert count >= 2 * 2 * 4
    assert there == pytest.approx(inside, abs=0.1) == pytest.approx(whole, abs=0.1)
    assert abs(worst) < 1
    assert mss == pytest.approx([mss[0]] * 3, rel=0.01)


def test_chunks_that_fade_twice_are_found(bench, model, files):
    """Published edges fade where chunks are cross-faded: there the sound dips."""
    model.overlap_percentage = 0.1
    _, there, inside, whole, worst, *mss = bench.compare(model, files, CHUNK)
    assert there < inside - 20
    assert worst > 20
    assert inside == pytest.approx(whole, abs=0.5)
    assert mss[0] > 2 * mss[1]


def test_the_command_prints_a_table_and_json(bench, model, tmp_path, capsys, monkeypatch):
    model.save_pretrained(tmp_path / "stft")
    settings = ["--files", "1", "--seconds", "12", "--chunk-seconds", "1.5"]
    monkeypatch.setattr(sys, "argv", ["joins.py", str(tmp_path / "stft"), *settings])
    bench.main()
    *table, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert list(found["figures"]) == ["seamless", "kept apart, padded edges", "kept apart, published edges"]
    assert all(len(values) == len(found["columns"]) for values in found["figures"].values())
    assert any("seamless" in line for line in table)
