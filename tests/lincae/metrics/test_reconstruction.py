"""Reconstruction figures over a set with silent clips."""

import math

import pytest
import torch

from lincae.metrics import Reconstruction


@pytest.fixture
def audio():
    """Three clips of which the last is silent."""
    clips = torch.randn(3, 4096, generator=torch.Generator().manual_seed(0))
    clips[2] = 0
    return clips


def test_figures_of_known_gains_over_active_clips(audio):
    metric = Reconstruction(3)
    gains = torch.tensor([0.5, 2.0, 1.0])[:, None]
    metric.update(gains * audio, audio, torch.arange(3))
    scores = metric.compute()
    assert set(scores) == {"reconstruction/mss", "reconstruction/snr", "reconstruction/si_sdr"}
    assert scores["reconstruction/mss"].item() == pytest.approx((1.5 + 2 * math.log(2)) / 2, abs=1e-3)
    assert scores["reconstruction/snr"].item() == pytest.approx(10 * math.log10(2), abs=1e-3)
    assert 100 < scores["reconstruction/si_sdr"].item() < math.inf
    assert {int(count) for count in metric.counts().values()} == {2}


def test_activity_is_judged_on_the_target(audio):
    metric = Reconstruction(3, figures=["snr"])
    metric.update(audio.flip(0), audio, torch.arange(3))
    assert metric.per_clip()[:, 0].isnan().tolist() == [False, False, True]
    assert metric.per_clip()[0, 0].item() == pytest.approx(0, abs=1e-9)


def test_name_and_figures_make_the_keys(audio):
    metric = Reconstruction(3, name="floor", figures=("snr", "mss"))
    metric.update(0.5 * audio, audio, torch.arange(3))
    scores = metric.compute()
    assert set(scores) == {"floor/mss", "floor/snr"}
    assert scores["floor/snr"].item() == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert scores["floor/mss"].item() == pytest.approx(0.5 + math.log(2), abs=1e-3)


def test_the_floor_of_a_noisy_decoder():
    """Dec(z; n) = signal of power S + noise of power E: two draws of n are 10 log10((S + E) / 2E) apart."""
    signal, first, second = torch.randn(3, 2, 16384, generator=torch.Generator().manual_seed(0))
    metric = Reconstruction(2, name="floor", figures=("snr",))
    metric.update(signal + 0.5 * first, signal + 0.5 * second, torch.arange(2))
    assert metric.compute()["floor/snr"].item() == pytest.approx(10 * math.log10(1.25 / 0.5), abs=0.1)


def test_no_active_clip_is_nan_with_count_zero():
    metric = Reconstruction(2)
    metric.update(torch.zeros(2, 4096), torch.zeros(2, 4096), torch.arange(2))
    assert all(value.isnan() for value in metric.compute().values())
    assert {int(count) for count in metric.counts().values()} == {0}


def test_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match=r"pesq.*si_sdr"):
        Reconstruction(2, figures=("mss", "pesq"))
