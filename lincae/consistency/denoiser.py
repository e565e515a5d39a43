"""Preconditioning: a network that knows nothing of boundary conditions becomes a consistency function."""

from __future__ import annotations

from torch import Tensor, nn

from lincae.networks.unet import CrossConnections, UNet


class Denoiser(nn.Module):
    """F(x, sigma, z) = c_skip x + c_out Net(c_in x, ln sigma, z), with F(x, sigma_min, z) = x for any network.

    The coefficients are EDM's (arXiv 2206.00364, table 1), corrected at the boundary as in consistency models
    (arXiv 2303.01469, appendix C).

    Args:
        network: the UNet.
        sigma_min: the level at which F is the identity.
        sigma_data: standard deviation of the data.
    """

    def __init__(self, network: UNet, sigma_min: float, sigma_data: float = 0.5) -> None:
        super().__init__()
        self.network, self.sigma_min, self.sigma_data = network, sigma_min, sigma_data

    def forward(self, x: Tensor, sigma: Tensor, connections: CrossConnections) -> Tensor:
        """Noisy spectrogram (N, C, F, L) at levels sigma (N,) -> estimate of the clean one, float32."""
        s, s_min, s_data = sigma.view(-1, 1, 1, 1), self.sigma_min, self.sigma_data
        c_skip = s_data**2 / ((s - s_min) ** 2 + s_data**2)
        c_out = s_data * (s - s_min) / (s_data**2 + s**2).sqrt()
        c_in = 1 / (s**2 + s_data**2).sqrt()
        return c_skip * x + c_out * self.network(c_in * x, sigma.log(), connections)
