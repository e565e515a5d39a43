import numpy as np
import pytest
import torch

from lincae.consistency.noise_levels import NoiseLevels
from lincae.streams import Draws

LEVELS = NoiseLevels()
DRAWN = 200_000


def sigma(index, low=0.002, high=80.0, rho=7.0):
    return (low ** (1 / rho) + index * (high ** (1 / rho) - low ** (1 / rho))) ** rho


@pytest.fixture(scope="module")
def indices():
    return LEVELS.sample(Draws(0, [0]).uniform("noise level", DRAWN, 2))


@pytest.fixture(scope="module")
def density():
    """(index, probability) on a fine grid: N(ln sigma(i); -1.1, 2) over i, normalised."""
    index = (np.arange(1_000_000) + 0.5) / 1_000_000
    weight = np.exp(-((np.log(sigma(index)) + 1.1) ** 2) / (2 * 2.0**2))
    return index, weight / weight.sum()


def test_end_points():
    assert LEVELS(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.002, 80.0], rel=1e-5)


@pytest.mark.parametrize("settings", [{}, {"sigma_min": 0.01, "sigma_max": 50.0, "rho": 3.0}])
def test_levels_formula(settings):
    index = torch.linspace(0, 1, 101)
    expected = sigma(index.double().numpy(), *settings.values())
    np.testing.assert_allclose(NoiseLevels(**settings)(index).numpy(), expected, rtol=1e-5)


def test_moments_of_the_drawn_levels(indices):
    """Without a Jacobian ln sigma does not have the density's mean of -1.1."""
    drawn = LEVELS(indices.double())
    assert drawn.log().mean().item() == pytest.approx(-0.55, abs=0.02)
    assert (drawn > 10).double().mean().item() == pytest.approx(0.072, abs=0.002)


def test_drawn_indices_follow_the_density(indices, density):
    """Pearson's chi^2 over 40 bins: 39 degrees of freedom, so 39 +- 8.8 for a right sampler."""
    index, probability = density
    expected = DRAWN * np.histogram(index, bins=40, range=(0, 1), weights=probability)[0]
    observed = np.histogram(indices.numpy(), bins=40, range=(0, 1))[0]
    assert expected.min() > 5
    assert ((observed - expected) ** 2 / expected).sum() < 39 + 4 * 8.8


def test_another_density(density):
    levels = NoiseLevels(mean=1.0, std=0.5)
    index, _ = density
    weight = np.exp(-((np.log(sigma(index)) - 1.0) ** 2) / (2 * 0.5**2))
    drawn = levels.sample(Draws(1, [0]).uniform("noise level", 20_000, 2))
    assert drawn.mean().item() == pytest.approx(np.average(index, weights=weight), abs=0.002)
    assert drawn.std().item() == pytest.approx(np.sqrt(np.cov(index, aweights=weight)), abs=0.002)


def test_first_number_chooses_the_cell_and_second_the_place_in_it():
    levels = NoiseLevels(cells=10, mean=0.0, std=1e6)  # a flat density
    uniform = torch.tensor([[0.05, 0.5], [0.25, 0.0], [0.25, 0.75], [0.95, 0.25]])
    torch.testing.assert_close(levels.sample(uniform), torch.tensor([0.05, 0.2, 0.275, 0.925]))


def test_the_lowest_draw_still_has_a_lower_neighbour():
    lowest = LEVELS.sample(torch.zeros(1, 2))
    assert lowest.item() == pytest.approx(1e-6)
    assert LEVELS(lowest) > LEVELS(torch.zeros(1))


def test_the_highest_draw_is_a_level():
    highest = LEVELS.sample(torch.full((1, 2), 1 - 2**-24))
    assert 0.999 < highest.item() <= 1


def test_table_is_not_a_weight():
    assert not LEVELS.state_dict()


@pytest.mark.parametrize(("low", "high"), [(0.0, 80.0), (80.0, 0.002), (-1.0, 1.0)])
def test_impossible_range_is_an_error(low, high):
    with pytest.raises(ValueError, match=f"0 < sigma_min < sigma_max, got {low} and {high}"):
        NoiseLevels(sigma_min=low, sigma_max=high)
