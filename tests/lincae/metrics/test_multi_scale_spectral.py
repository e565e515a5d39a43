"""MSS against closed forms and against auraloss."""

import math

import auraloss
import pytest
import torch

from lincae.metrics import multi_scale_spectral

WINDOWS = (600, 1200, 240)


def noise(rows=2, samples=16384, seed=0):
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gain", [0.1, 0.5, 0.9, 2.0, -0.5])
def test_a_gain_scores_its_closed_form(gain):
    """Whatever the peaks: the noise exceeds full scale and must not be clipped."""
    target = noise()
    expected = abs(abs(gain) - 1) + abs(math.log(abs(gain)))
    torch.testing.assert_close(
        multi_scale_spectral(gain * target, target), torch.full((2,), expected), atol=1e-4, rtol=0
    )


def test_equal_and_inverted_audio_score_zero():
    target = noise()
    assert multi_scale_spectral(target, target).tolist() == [0, 0]
    assert multi_scale_spectral(-target, target).tolist() == [0, 0]


def test_independent_white_noises_score_their_expectation():
    score = multi_scale_spectral(noise(4, 44100, seed=1), noise(4, 44100, seed=2)).mean()
    assert score.item() == pytest.approx(math.log(2) + math.sqrt(2 - math.pi / 2), rel=0.01)


def log_level(rms):
    """Expectation of ln |STFT| of white noise, averaged over windows: a Rayleigh magnitude of power 3 w s^2 / 8."""
    return sum(math.log(3 * w * rms**2 / 8) - 0.5772 for w in WINDOWS) / 2 / len(WINDOWS)


def test_a_silent_estimate_scores_the_level_of_the_target():
    target = 0.1 * noise(4, 32768)
    expected = 1 + math.log(1e4) + log_level(0.1)
    assert multi_scale_spectral(torch.zeros_like(target), target).mean().item() == pytest.approx(expected, rel=0.005)


def test_hiss_over_a_silent_target_scores_its_level_over_the_floor():
    hiss = 1e-3 * noise(4, 32768)
    convergence = 1e-3 * sum(math.sqrt(3 * w / 8) for w in WINDOWS) / len(WINDOWS) / 1e-4
    expected = convergence + math.log(1e4) + log_level(1e-3)
    assert multi_scale_spectral(hiss, torch.zeros_like(hiss)).mean().item() == pytest.approx(expected, rel=0.02)


def test_silence_equals_silence():
    assert multi_scale_spectral(torch.zeros(1, 4096), torch.zeros(1, 4096)).item() == 0


@pytest.fixture
def clips():
    """Estimates and targets of very different levels and spectra."""
    levels = torch.tensor([1.0, 0.1, 1e-3, 1e-5])[:, None]
    sine = torch.sin(2 * torch.pi * 440 * torch.arange(8192) / 44100)
    return levels * (0.3 * noise(4, 8192, seed=3) + sine), levels * noise(4, 8192, seed=4).cumsum(1) / 50


def test_each_clip_equals_auraloss(clips):
    estimate, target = clips
    oracle = auraloss.freq.MultiResolutionSTFTLoss()
    expected = [oracle(p[None, None], t[None, None]) for p, t in zip(estimate, target, strict=True)]
    torch.testing.assert_close(multi_scale_spectral(estimate, target), torch.stack(expected), atol=0, rtol=1e-5)


def test_autocast_changes_nothing(clips):
    expected = multi_scale_spectral(*clips)
    with torch.autocast("cpu", torch.bfloat16):
        score = multi_scale_spectral(*clips)
    torch.testing.assert_close(score, expected, atol=0, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_audio_of_any_precision_is_compared_in_float32(clips, dtype):
    estimate, target = (audio.to(dtype) for audio in clips)
    torch.testing.assert_close(
        multi_scale_spectral(estimate, target), multi_scale_spectral(estimate.float(), target.float()), atol=0, rtol=0
    )


def test_different_lengths_compare_the_common_prefix():
    target, estimate = noise(), noise(seed=1)
    torch.testing.assert_close(
        multi_scale_spectral(estimate[:, :-511], target), multi_scale_spectral(estimate[:, :-511], target[:, :-511])
    )
    with pytest.raises(ValueError, match="512"):
        multi_scale_spectral(estimate[:, :-512], target)


def test_clips_shorter_than_the_reflected_edge_are_refused():
    with pytest.raises(ValueError, match="1024"):
        multi_scale_spectral(torch.zeros(1, 1024), torch.zeros(1, 1025))
    assert multi_scale_spectral(torch.ones(1, 1025), torch.ones(1, 1025)).item() == 0
