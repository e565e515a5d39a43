import math

import pytest
import torch

from lincae.consistency.loss import pseudo_huber


def test_closed_form(normal):
    estimate, target = normal(3, 2, 8, 4), normal(3, 2, 8, 4, seed=1)
    c = 0.00054 * math.sqrt(64)
    expected = [math.sqrt((e - t).double().square().sum() + c**2) - c for e, t in zip(estimate, target, strict=True)]
    torch.testing.assert_close(pseudo_huber(estimate, target), torch.tensor(expected))


@pytest.mark.parametrize(("dimension", "c"), [(100, 0.0054), (10_000, 0.054)])
def test_c_grows_with_the_dimension(dimension, c):
    """A single difference d = c: c (sqrt 2 - 1)."""
    estimate = torch.zeros(1, dimension)
    estimate[0, 3] = c
    expected = c * (math.sqrt(2) - 1)
    assert pseudo_huber(estimate, torch.zeros(1, dimension)).item() == pytest.approx(expected, rel=1e-4)


def test_zero_with_zero_gradient_at_the_target():
    estimate = torch.zeros(2, 10, requires_grad=True)
    loss = pseudo_huber(estimate, torch.zeros(2, 10))
    rounding = 0.00054 * math.sqrt(10) * torch.finfo(torch.float32).eps  # of c; sqrt(c^2) is not c on every processor
    assert loss.tolist() == pytest.approx([0, 0], abs=rounding)
    loss.sum().backward()
    assert not estimate.grad.any()


def test_gradient_is_the_difference_over_its_softened_norm(normal):
    estimate, target = normal(1, 100).requires_grad_(), normal(1, 100, seed=1)
    pseudo_huber(estimate, target).sum().backward()
    d = (estimate - target).detach()
    torch.testing.assert_close(estimate.grad, d / (d.square().sum() + 0.0054**2).sqrt())


def test_half_precision_is_compared_in_float32():
    """The sum of 10^6 squares of 2^-6 is 15.6^2; added up in bfloat16 it would get stuck."""
    estimate = torch.full((1, 1_000_000), 2.0**-6, dtype=torch.bfloat16)
    loss = pseudo_huber(estimate, torch.zeros_like(estimate))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(math.sqrt(1e6 * 2**-12 + 0.54**2) - 0.54, rel=1e-5)
