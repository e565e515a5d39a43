"""The networks as one graph each, and in channels-last order: the same numbers, compiled once."""

from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from lincae.networks.encoder import Encoder
from lincae.networks.pyramid import Pyramid
from lincae.networks.unet import UNet


@pytest.fixture
def networks(sizes, awaken):
    sizes = replace(sizes, widths=(4, 8, 8), strides=((4, 1), (2, 2)), attention=(False, False, True), unet_blocks=1)
    torch.manual_seed(0)
    parts = Encoder(sizes, channels=2, bins=64), Pyramid(sizes, bins=64), UNet(sizes, channels=2, bins=64)
    return [awaken(part) for part in parts]


@pytest.fixture
def noisy(normal):
    return normal(2, 2, 64, 16)


def test_compiled_networks_are_one_graph_for_all_noise_levels(networks, noisy):
    torch._dynamo.reset()
    counters = [CompileCounter() for _ in networks]
    compiled = [torch.compile(n, backend=c, fullgraph=True) for n, c in zip(networks, counters, strict=True)]
    for sigma in (0.01, 30.0, 2.0):
        log_sigma = torch.full((2,), sigma).log()
        outputs = []
        for encoder, pyramid, unet in (networks, compiled):
            latents = encoder(sigma * noisy)
            maps = pyramid(latents)
            outputs.append([latents, *maps, unet(noisy, log_sigma, networks[2].connect(maps))])
        for plain, fast in zip(*outputs, strict=True):
            torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-6)
    assert [counter.frame_count for counter in counters] == [1, 1, 1]


def test_channels_last_weights_change_no_number(networks, noisy):
    log_sigma = torch.tensor([-6.2, 4.3])

    def run():
        encoder, pyramid, unet = networks
        latents = encoder(noisy)
        maps = pyramid(latents)
        return [latents, *maps, unet(noisy, log_sigma, unet.connect(maps))]

    before = run()
    for network in networks:
        network.to(memory_format=torch.channels_last)
    assert networks[2].conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    for plain, reordered in zip(before, run(), strict=True):
        torch.testing.assert_close(reordered, plain, rtol=1e-3, atol=1e-4)
