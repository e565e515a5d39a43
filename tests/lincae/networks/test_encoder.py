import math

import pytest
import torch
from torch.nn import functional

from lincae.networks.encoder import Encoder
from lincae.networks.sizes import NetworkSizes


@pytest.fixture
def encoder(sizes, awaken):
    torch.manual_seed(0)
    return awaken(Encoder(sizes, channels=2, bins=64))


def test_reference_shapes():
    with torch.device("meta"):
        encoder = Encoder(NetworkSizes(), channels=2, bins=1024)
        shapes = []
        for block in encoder.blocks:
            block.register_forward_hook(lambda block, args, map: shapes.append(tuple(map.shape[1:])))
        assert encoder(torch.empty(1, 2, 1024, 64)).shape == (1, 64, 8)
        assert encoder.features(torch.empty(1, 2, 1024, 64)).shape == (1, 256 * 32, 8)
    assert shapes[:5] == [(64, 1024, 64), (128, 256, 64), (256, 128, 32), (256, 64, 16), (256, 32, 8)]


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 15, 16, 17, 24])
def test_time_strides_round_up(encoder, normal, frames):
    latents = encoder(normal(1, 2, 64, frames))
    assert latents.shape == (1, 3, math.ceil(frames / 8))


def test_rows_do_not_mix(encoder, normal):
    x = normal(3, 2, 64, 16)
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), rtol=1e-4, atol=1e-5)


def test_features_are_flattened_channel_major(encoder, normal):
    """The last normalisation leaves each group of 4 channels with mean 0 and variance 1, if channels are outermost."""
    encoder.norm_map.reset_parameters()
    features = encoder.features(normal(2, 2, 64, 16))
    assert features.shape == (2, 8 * 2, 2)
    groups = features.reshape(2, 2, -1)
    torch.testing.assert_close(groups.mean(-1), torch.zeros(2, 2), rtol=0, atol=1e-5)
    torch.testing.assert_close(groups.var(-1, correction=0), torch.ones(2, 2), rtol=0, atol=1e-2)


def test_latents_are_made_from_the_features(encoder, normal):
    x = normal(2, 2, 64, 16)
    h = encoder.bottleneck(encoder.conv_flat(encoder.features(x)))
    h = functional.silu(functional.group_norm(h, 2, encoder.norm_out.weight, encoder.norm_out.bias))
    weight, bias = encoder.conv_out.weight[..., 0], encoder.conv_out.bias
    torch.testing.assert_close(encoder(x), torch.tanh(weight @ h + bias[:, None]))


def test_bins_have_a_gain_of_their_own(encoder, normal):
    """A bin whose gain is zero is not seen: the first map is zero there."""
    assert encoder.bin_gain.shape == (64, 1)
    seen = []
    encoder.blocks[0].register_forward_pre_hook(lambda block, args: seen.append(args[0]))
    x = normal(1, 2, 64, 8)
    encoder(x)
    with torch.no_grad():
        encoder.bin_gain.copy_(torch.arange(64.0)[:, None])
    encoder(x)
    torch.testing.assert_close(seen[1], seen[0] * torch.arange(64.0)[:, None])


def test_strided_convolutions_are_normalized_and_keep_the_width(encoder, sizes):
    for layer, width in zip(encoder.downsamples, sizes.widths[:-1], strict=True):
        assert isinstance(layer.norm, torch.nn.GroupNorm)
        assert layer.conv.weight.shape[:2] == (width, width)


def test_latents_near_one_keep_their_gradient_in_a_bf16_step(encoder, normal):
    """1 - tanh(3.5)^2 = 0.0036; in bf16 tanh is exactly 1 there, and its gradient exactly 0."""
    with torch.no_grad():
        encoder.conv_out.weight.zero_()
        encoder.conv_out.bias.fill_(3.5)
    with torch.autocast("cpu", torch.bfloat16):
        latents = encoder(normal(1, 2, 64, 16))
        latents.sum().backward()
    expected = math.tanh(3.5)
    torch.testing.assert_close(latents, torch.full_like(latents, expected), rtol=1e-6, atol=0)
    slope = encoder.conv_out.bias.grad / latents[0, 0].numel()
    torch.testing.assert_close(slope, torch.full_like(slope, 1 - expected**2), rtol=0.01, atol=0)
