import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lincae.networks.pyramid import Pyramid
from lincae.networks.sizes import NetworkSizes
from lincae.networks.unet import UNet

LOG_SIGMA = torch.tensor([-6.2, 4.3])


@pytest.fixture
def unet(sizes, awaken):
    torch.manual_seed(0)
    return awaken(UNet(sizes, channels=2, bins=64))


@pytest.fixture
def maps(sizes, awaken, normal):
    torch.manual_seed(1)
    return awaken(Pyramid(sizes, bins=64))(normal(2, 3, 2))


@pytest.fixture
def noisy(normal):
    return normal(2, 2, 64, 16)


def test_reference_shapes():
    with torch.device("meta"):
        unet = UNet(NetworkSizes(), channels=2, bins=1024)
        maps = Pyramid(NetworkSizes(), bins=1024)(torch.empty(1, 64, 8))
        shapes = []
        for block in (*unet.down, *unet.up):
            block.register_forward_hook(lambda block, args, map: shapes.append(tuple(map.shape[1:])))
        assert unet(torch.empty(1, 2, 1024, 64), torch.empty(1), unet.connect(maps)).shape == (1, 2, 1024, 64)
    levels = [(64, 1024, 64), (128, 256, 64), (256, 128, 32), (256, 64, 16), (256, 32, 8)]
    down = [shape for shape in levels for _ in range(2)]
    assert shapes == down + down[::-1]


def test_starts_out_predicting_zero(sizes, maps, noisy):
    unet = UNet(sizes, channels=2, bins=64)
    assert not unet(noisy, LOG_SIGMA, unet.connect(maps)).any()


def test_formula_where_residual_blocks_are_identities(normal, awaken):
    """One level, two blocks each way: sums over sqrt 2 and sqrt 3, skips last in first out, scales from sinusoids."""
    sizes = NetworkSizes(widths=(4,), strides=(), attention=(False,), unet_blocks=2, embedding=16)
    torch.manual_seed(0)
    unet = UNet(sizes, channels=2, bins=8)
    for part in (unet.scale_in, unet.scale_out, unet.conv_out):
        awaken(part)
    x, pyramid = normal(2, 2, 8, 5), [normal(2, 4, 8, 5, seed=1)]

    phases = LOG_SIGMA.numpy()[:, None] / 4 * 10_000.0 ** (-np.arange(8) / 7)
    waves = torch.from_numpy(np.concatenate([np.sin(phases), np.cos(phases)], axis=1)).float()
    scale_in, scale_out = (1 + part(waves)[:, None, :, None] for part in (unet.scale_in, unet.scale_out))
    down, up = ([conv(pyramid[0]) for conv in convs] for convs in (unet.connect.down, unet.connect.up))
    h = scale_in * unet.conv_in(x)
    first = (h + down[0]) / math.sqrt(2)
    second = (first + down[1]) / math.sqrt(2)
    h = (second + second + up[1]) / math.sqrt(3)
    h = (h + first + up[0]) / math.sqrt(3)
    h = (h + unet.connect.out(pyramid[0])) / math.sqrt(2)
    h = functional.silu(functional.group_norm(h, 1))
    torch.testing.assert_close(unet(x, LOG_SIGMA, unet.connect(pyramid)), unet.conv_out(scale_out * h))


def test_every_connection_matters(unet, maps, noisy):
    maps = [m.detach().requires_grad_() for m in maps]
    connections = unet.connect(maps)
    for connection in (*connections.down, *connections.up, connections.out):
        connection.retain_grad()
    unet(noisy, LOG_SIGMA, connections).square().sum().backward()
    for tensor in (*maps, *connections.down, *connections.up, connections.out):
        assert (tensor.grad.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("level", range(5))
def test_another_pyramid_gives_another_output(unet, maps, noisy, level):
    changed = [m + (i == level) * m.roll(1, dims=-1) for i, m in enumerate(maps)]
    before, after = (unet(noisy, LOG_SIGMA, unet.connect(m)) for m in (maps, changed))
    assert (after - before).norm() > 1e-3 * before.norm()


def test_connections_serve_several_calls(unet, maps, noisy):
    """Shared between noise levels, as in training and sampling, they give what fresh ones give."""
    shared = unet.connect(maps)
    for log_sigma in (LOG_SIGMA, LOG_SIGMA + 1, LOG_SIGMA):
        fresh = unet(noisy, log_sigma, unet.connect(maps))
        torch.testing.assert_close(unet(noisy, log_sigma, shared), fresh, rtol=0, atol=0)


def test_noise_level_matters(unet, maps, noisy):
    connections = unet.connect(maps)
    before, after = unet(noisy, LOG_SIGMA, connections), unet(noisy, LOG_SIGMA + 1, connections)
    assert ((after - before).flatten(1).norm(dim=1) > 1e-3 * before.flatten(1).norm(dim=1)).all()


def test_rows_do_not_mix(unet, maps, noisy):
    together = unet(noisy, LOG_SIGMA, unet.connect(maps))
    alone = unet(noisy[1:], LOG_SIGMA[1:], unet.connect([m[1:] for m in maps]))
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)


def test_strided_convolutions_are_not_normalized_and_change_the_width(unet, sizes):
    for layer, fine, coarse in zip(unet.downsamples, sizes.widths[:-1], sizes.widths[1:], strict=True):
        assert isinstance(layer.norm, torch.nn.Identity)
        assert layer.conv.weight.shape[:2] == (coarse, fine)
