"""Tensors with known holes."""

import math

import torch
from torch import nn

from lincae.finiteness import NotFinite, not_finite, watched


def test_values_and_rows_are_counted():
    tensor = torch.zeros(4, 2, 3)
    tensor[1, 0, 2], tensor[3, 1, :] = math.nan, -math.inf
    assert not_finite("z", tensor) == [NotFinite("z", 4, 24, [1, 3])]
    assert not_finite("z", torch.zeros(4)) == []
    assert not_finite("z", torch.tensor(math.inf)) == [NotFinite("z", 1, 1, [0])]


def test_outputs_are_listed_in_the_order_in_which_they_are_made():
    class Divide(nn.Module):
        def forward(self, x):
            return 1 / x, x

    model = nn.Sequential(nn.Identity(), Divide())
    inner = model[1]
    model[1] = nn.Sequential(inner)
    with watched(model) as found:
        model(torch.tensor([[1.0, 0.0], [2.0, 4.0]]))
    names = [entry.name for entry in found]
    assert names == ["output of 1.0", "output of 1"]
    assert found[0].rows == [0]
    model(torch.zeros(1))
    assert len(found) == 2  # the hooks are gone
