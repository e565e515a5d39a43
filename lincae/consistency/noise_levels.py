"""Noise levels: which ones there are, and how often training visits them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class NoiseLevels(nn.Module):
    """Levels sigma(i) for a continuous index i in [0, 1], and the density from which training draws i.

    sigma(i) = (sigma_min^(1/rho) + i (sigma_max^(1/rho) - sigma_min^(1/rho)))^rho      (EDM, arXiv 2206.00364, eq. 5)

    The density of the index is proportional to N(ln sigma(i); mean, std). There is no Jacobian, so ln sigma itself does
    not have that mean: with the reference's values its mean is -0.55.

    Args:
        sigma_min, sigma_max, rho: of the formula above.
        mean, std: of the normal density, in ln sigma.
        cells: of the grid on which the density is tabulated; the draw is uniform within a cell.
    """

    cumulative: Tensor

    def __init__(
        self,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        rho: float = 7.0,
        mean: float = -1.1,
        std: float = 2.0,
        cells: int = 9999,
    ) -> None:
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"needs 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho
        self.mean, self.std, self.cells = mean, std, cells
        index = torch.arange(cells, dtype=torch.float64) / cells
        density = torch.exp(-0.5 * ((self(index).log() - mean) / std) ** 2)
        self.register_buffer("cumulative", (density.cumsum(0) / density.sum()).float(), persistent=False)

    def forward(self, index: Tensor) -> Tensor:
        """sigma(i), of the shape of the index."""
        low, high = math.pow(self.sigma_min, 1 / self.rho), math.pow(self.sigma_max, 1 / self.rho)
        return (low + index * (high - low)) ** self.rho

    def sample(self, uniform: Tensor) -> Tensor:
        """Indices for training.

        Args:
            uniform: two draws from U[0, 1) for each index, (N, 2): one chooses the cell, one the place in it.

        Returns:
            (N,), at least 1e-6: below 3e-8 two neighbouring levels are the same float32 number.
        """
        cell = torch.searchsorted(self.cumulative, uniform[:, 0].contiguous(), right=True).clamp_max(self.cells - 1)
        return ((cell + uniform[:, 1]) / self.cells).clamp_min(1e-6)
