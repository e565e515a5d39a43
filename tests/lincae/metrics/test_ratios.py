"""SNR and SI-SDR against closed forms."""

import math

import pytest
import torch

from lincae.metrics import si_sdr, signal_to_noise


@pytest.fixture
def sine():
    return torch.sin(2 * torch.pi * 50 * torch.arange(4410) / 44100)[None]


@pytest.fixture
def cosine():
    """Orthogonal to `sine`, of the same energy."""
    return torch.cos(2 * torch.pi * 50 * torch.arange(4410) / 44100)[None]


@pytest.mark.parametrize("gain", [0.5, 0.9, 1.5, 3.0, -1.0])
@pytest.mark.parametrize("level", [1.0, 1e-4])
def test_snr_of_a_gain(sine, gain, level):
    target = level * sine
    assert signal_to_noise(gain * target, target).item() == pytest.approx(-20 * math.log10(abs(1 - gain)), abs=1e-3)


@pytest.mark.parametrize("figure", [signal_to_noise, si_sdr])
@pytest.mark.parametrize("amplitude", [0.01, 0.3, 1.0])
def test_an_orthogonal_error_scores_the_ratio_of_norms(sine, cosine, figure, amplitude):
    assert figure(sine + amplitude * cosine, sine).item() == pytest.approx(-20 * math.log10(amplitude), abs=1e-3)


@pytest.mark.parametrize("gain", [0.1, 7.0, -2.0])
def test_si_sdr_ignores_gain_and_polarity(sine, cosine, gain):
    estimate = sine + 0.1 * cosine
    assert si_sdr(gain * estimate, sine).item() == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("figure", [signal_to_noise, si_sdr])
def test_means_are_not_removed(sine, figure):
    """A constant offset of the sine's energy is an error like any other."""
    assert figure(sine + math.sqrt(0.5), sine).item() == pytest.approx(0, abs=1e-3)


def test_independent_audio_of_equal_energy_scores_minus_3_db(sine, cosine):
    assert signal_to_noise(cosine, sine).item() == pytest.approx(-10 * math.log10(2), abs=1e-3)


@pytest.mark.parametrize("figure", [signal_to_noise, si_sdr])
def test_perfect_and_silent_estimates(sine, figure):
    assert 100 < figure(sine, sine).item() < math.inf
    assert figure(torch.zeros_like(sine), sine).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("figure", [signal_to_noise, si_sdr])
def test_each_row_is_judged_alone_in_float64(sine, cosine, figure):
    """In float32 the regularisation would already show at an amplitude of 1e-5."""
    levels = torch.tensor([1.0, 1e-5])[:, None]
    scores = figure(levels * (sine + 0.5 * cosine), levels * sine)
    torch.testing.assert_close(scores, torch.full((2,), 20 * math.log10(2), dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("figure", [signal_to_noise, si_sdr])
def test_different_lengths_compare_the_common_prefix(sine, figure):
    late = sine.clone()
    late[:, -100:] = 9
    torch.testing.assert_close(figure(0.5 * sine[:, :-100], late), figure(0.5 * sine[:, :-100], sine[:, :-100]))
    with pytest.raises(ValueError, match="512"):
        figure(sine[:, :-512], sine)
