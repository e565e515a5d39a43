import math

import pytest
import torch
from torch import nn

from lincae.consistency.denoiser import Denoiser


class Recorder(nn.Module):
    """Stands in for the UNet: remembers what it is given and answers with a constant."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, log_sigma, connections):
        self.x, self.log_sigma, self.connections = x, log_sigma, connections
        return torch.full_like(x, self.answer)


def coefficients(sigma, sigma_min=0.002, sigma_data=0.5):
    """(c_skip, c_out, c_in), read off the denoiser's answers."""
    network = Recorder(0.0)
    denoiser = Denoiser(network, sigma_min, sigma_data)
    x, level = torch.ones(1, 2, 4, 3), torch.tensor([sigma])
    c_skip = denoiser(x, level, None)[0, 0, 0, 0].item()
    network.answer = 1.0
    c_out = denoiser(x, level, None)[0, 0, 0, 0].item() - c_skip
    return c_skip, c_out, network.x[0, 0, 0, 0].item()


@pytest.mark.parametrize(
    ("sigma", "expected"),
    [
        (0.002, (1.0, 0.0, 1 / math.sqrt(0.250004))),
        (0.502, (0.5, 0.25 / math.sqrt(0.502004), 1 / math.sqrt(0.502004))),
        (1.002, (0.2, 0.5 / math.sqrt(1.254004), 1 / math.sqrt(1.254004))),
        (80.0, (3.906445e-05, 0.499978, 0.0124998)),
    ],
)
def test_coefficients_by_hand(sigma, expected):
    assert coefficients(sigma) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
def test_coefficients_keep_unit_variance(sigma):
    """Without a lower bound (EDM): network input and ideal output have variance 1 for data of variance sigma_data^2."""
    c_skip, c_out, c_in = coefficients(sigma, sigma_min=0.0, sigma_data=0.7)
    assert c_in**2 * (0.7**2 + sigma**2) == pytest.approx(1, rel=1e-4)
    assert (1 - c_skip) ** 2 * 0.7**2 + c_skip**2 * sigma**2 == pytest.approx(c_out**2, rel=1e-4)


@pytest.mark.parametrize("sigma_min", [0.002, 0.1])
def test_identity_at_the_lowest_level_for_any_network(normal, sigma_min):
    x = normal(2, 2, 4, 3)
    denoiser = Denoiser(Recorder(1e4), sigma_min)
    torch.testing.assert_close(denoiser(x, torch.full((2,), sigma_min), None), x, rtol=0, atol=1e-4)
    assert not torch.allclose(denoiser(x, torch.full((2,), 2 * sigma_min), None), x, atol=1)


def test_network_sees_log_sigma_and_the_connections_of_each_row(normal):
    network = Recorder(0.0)
    x, sigma, connections = normal(3, 2, 4, 3), torch.tensor([0.002, 1.0, 80.0]), object()
    Denoiser(network, 0.002)(x, sigma, connections)
    torch.testing.assert_close(network.log_sigma, torch.tensor([math.log(0.002), 0.0, math.log(80)]))
    torch.testing.assert_close(network.x, x / (sigma**2 + 0.25).sqrt()[:, None, None, None])
    assert network.connections is connections


def test_estimate_is_float32_under_autocast(normal):
    network = Recorder(0.0)
    network.forward = lambda x, log_sigma, connections: x.bfloat16()
    x = normal(1, 2, 4, 3)
    assert Denoiser(network, 0.002)(x, torch.tensor([1.0]), None).dtype == torch.float32
