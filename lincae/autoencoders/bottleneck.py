"""A variational bottleneck for latents that are scaled and mixed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lincae.streams import Draws


class VariationalBottleneck(nn.Module):
    """Noise on the latents, and what they are charged for being heard above it.

    Latents are means m of Gaussians N(m, s^2), with one spread s for each channel, which is learned. (Spreads that the
    encoder chooses for each sound, as in most variational autoencoders, mean nothing for a mix of two sounds.) The
    decoder is trained on samples; encoding gives means. The charge is KL(N(m, s^2) || N(0, 1)) of whatever latents the
    decoder is given, mixed ones too, so large gains cost more.

    Args:
        channels: D of the latents.
        weight: of the charge, which is a mean over channels and frames.
        spread: s at the start.
    """

    def __init__(self, channels: int, weight: float = 1e-4, spread: float = 0.1) -> None:
        super().__init__()
        self.channels, self.weight, self.spread = channels, weight, spread
        self.log_spread = nn.Parameter(torch.full((channels, 1), spread).log())

    def sample(self, means: Tensor, draws: Draws) -> Tensor:
        """Latents (N, D, L) with noise of the batch's own stream."""
        return means + self.log_spread.exp() * draws.normal("bottleneck", *means.shape).to(means)

    def charge(self, means: Tensor) -> Tensor:
        """The weighted KL divergence of each row, (N,), nats for each number in the latents."""
        spread = self.log_spread.exp()
        return self.weight * 0.5 * (means.square() + spread.square() - 1 - 2 * self.log_spread).mean(dim=(1, 2))
