"""Networks small enough for tests, with every mechanism of the reference: five levels, time stride 8, attention."""

import pytest
import torch
from torch import nn

from lincae.networks.sizes import NetworkSizes
from lincae.stft import Spectrogram

torch.set_num_threads(1)  # small tensors: more threads only wait for each other


@pytest.fixture
def spectrogram():
    """128 bins; 16 frames span 1216 samples."""
    return Spectrogram(hop=64, window=256)


@pytest.fixture
def sizes():
    return NetworkSizes(
        widths=(4, 8, 8, 8, 8), heads=2, latents=3, bottleneck=8, bottleneck_blocks=1, unet_blocks=2, embedding=16
    )


@pytest.fixture
def awaken():
    """A function that randomises the parameters that start at zero, so that no branch of a network is silent."""

    def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for parameter in module.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.2, generator=generator)
        return module

    return randomise


@pytest.fixture
def normal():
    """A function that draws N(0, 1) of a shape from a generator of its own."""

    def draw(*shape: int, seed: int = 0) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    return draw
