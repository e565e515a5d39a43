"""Decoding with a consistency function, in one step or a few."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lincae.consistency.denoiser import Denoiser
from lincae.consistency.noise_levels import NoiseLevels
from lincae.networks.unet import CrossConnections


def sample(denoiser: Denoiser, levels: NoiseLevels, connections: CrossConnections, noise: Tensor) -> Tensor:
    """Multistep consistency sampling (arXiv 2303.01469, algorithm 1) at levels sigma(1), sigma((k-1)/k), ...

    Args:
        denoiser: the consistency function F.
        levels: noise levels.
        connections: what F is conditioned on.
        noise: N(0, 1), one tensor per step, (N, steps, C, F, L).

    Returns:
        Spectrogram (N, C, F, L).
    """
    steps = noise.shape[1]
    indices = 1 - torch.arange(steps, device=noise.device) / steps
    sigmas = levels(indices)
    x = torch.zeros_like(noise[:, 0])
    for step in range(steps):
        spread = sigmas[0] if step == 0 else (sigmas[step] ** 2 - math.pow(levels.sigma_min, 2)).sqrt()
        x = denoiser(x + spread * noise[:, step], sigmas[step].expand(len(noise)), connections)
    return x
