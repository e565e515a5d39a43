import math

import pytest
import torch

from lincae.consistency.noise_levels import NoiseLevels
from lincae.consistency.sampler import sample

LEVELS = NoiseLevels()


class Recorder:
    """A denoiser that remembers its arguments and halves its input."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, sigma, connections):
        self.calls.append((x, sigma, connections))
        return x / 2


@pytest.mark.parametrize(("steps", "indices"), [(1, [1.0]), (2, [1.0, 0.5]), (4, [1.0, 0.75, 0.5, 0.25])])
def test_levels_and_renoising(normal, steps, indices):
    noise, connections, denoiser = normal(3, steps, 2, 4, 5), object(), Recorder()
    result = sample(denoiser, LEVELS, connections, noise)
    low, high = 0.002 ** (1 / 7), 80.0 ** (1 / 7)
    x = torch.zeros(3, 2, 4, 5)
    assert len(denoiser.calls) == steps
    for step, (seen, sigma, given) in enumerate(denoiser.calls):
        level = (low + indices[step] * (high - low)) ** 7
        spread = level if step == 0 else math.sqrt(level**2 - 0.002**2)
        torch.testing.assert_close(sigma, torch.full((3,), level))
        torch.testing.assert_close(seen, x + spread * noise[:, step])
        assert given is connections
        x = seen / 2
    torch.testing.assert_close(result, x, rtol=0, atol=0)


def test_one_step_is_one_call_on_pure_noise(normal):
    noise = normal(2, 1, 2, 4, 5)
    denoiser = Recorder()
    result = sample(denoiser, LEVELS, None, noise)
    torch.testing.assert_close(result, 80 * noise[:, 0] / 2)
    assert denoiser.calls[0][1].tolist() == pytest.approx([80, 80])


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_variance_is_right_where_the_consistency_function_is_known(normal, steps):
    """Data N(0, 0.25) are mapped from level s down to level smin by x sqrt((0.25 + smin^2) / (0.25 + s^2)).

    So estimates keep variance 0.25 + smin^2 = 0.5 over any number of steps. Re-noising by s instead of
    sqrt(s^2 - smin^2) would raise it.
    """
    levels = NoiseLevels(sigma_min=0.5, sigma_max=80.0)

    def denoiser(x, sigma, connections):
        return x * math.sqrt(0.5) / (0.25 + sigma**2).sqrt()[:, None, None, None]

    estimate = sample(denoiser, levels, None, normal(1, steps, 1, 1, 200_000))
    assert estimate.var().item() == pytest.approx(0.5, rel=0.015)
