"""Building blocks against their formulas, written out with functions or numpy."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lincae.networks.blocks import Downsample, FrequencyAttention, ResBlock, Upsample, group_norm, mlp, sinusoids


@pytest.mark.parametrize(("channels", "groups"), [(2, 1), (4, 1), (8, 2), (64, 16), (128, 32), (256, 32), (512, 32)])
def test_group_norm_has_groups_of_four_and_at_most_32(channels, groups):
    assert group_norm(channels).num_groups == groups


@pytest.mark.parametrize(
    ("stride", "kernel", "coarse"), [((4, 1), (5, 1), (4, 7)), ((2, 2), (3, 3), (8, 4)), ((2, 1), (3, 1), (8, 7))]
)
def test_downsample_kernels_and_sizes(normal, stride, kernel, coarse):
    layer = Downsample(4, 8, stride)
    assert layer.conv.weight.shape == (8, 4, *kernel)
    x = normal(1, 4, 16, 7)
    assert layer(x).shape == (1, 8, *coarse)
    padding = (kernel[0] // 2, kernel[1] // 2)
    expected = functional.conv2d(x, layer.conv.weight, layer.conv.bias, stride, padding)
    torch.testing.assert_close(layer(x), expected)


def test_downsample_normalizes_where_asked(normal):
    layer = Downsample(8, 8, (2, 2), normalize=True)
    x = normal(2, 8, 8, 4)
    torch.testing.assert_close(layer(3 * x + 5), layer(x), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(Downsample(8, 8, (2, 2))(3 * x + 5), layer(x))


@pytest.mark.parametrize(("stride", "kernel"), [((4, 1), (5, 1)), ((2, 2), (3, 3))])
def test_upsample_repeats_and_convolves(normal, stride, kernel):
    layer = Upsample(8, 4, stride)
    assert layer.conv.weight.shape == (4, 8, *kernel)
    x = normal(2, 8, 4, 3)
    repeated = x.repeat_interleave(stride[0], dim=2).repeat_interleave(stride[1], dim=3)
    expected = functional.conv2d(repeated, layer.conv.weight, layer.conv.bias, padding=(kernel[0] // 2, kernel[1] // 2))
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("features", [16, 256])
def test_sinusoids_formula(features):
    values = torch.tensor([-1.55, 0.0, 0.3, 1.1])
    k = np.arange(features // 2)
    phases = values.double().numpy()[:, None] * 10_000.0 ** (-k / (features // 2 - 1))
    expected = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    np.testing.assert_allclose(sinusoids(values, features).numpy(), expected, atol=1e-6)


def test_mlp_layers(normal):
    x = normal(3, 8)
    net = mlp(8)
    hidden = functional.silu(functional.linear(x, net[0].weight, net[0].bias))
    torch.testing.assert_close(net(x), functional.silu(functional.linear(hidden, net[2].weight, net[2].bias)))
    scales = mlp(8, 5)
    assert scales(x).shape == (3, 5)
    assert not scales(x).any()


def test_residual_block_starts_as_its_skip(normal):
    x = normal(2, 8, 6, 5)
    embedding = normal(2, 16)
    torch.testing.assert_close(ResBlock(8, 8, embedding=16, heads=2)(x, embedding), x, rtol=0, atol=0)
    sequence = normal(2, 8, 5)
    torch.testing.assert_close(ResBlock(8, 8, dims=1)(sequence), sequence, rtol=0, atol=0)
    widening = ResBlock(8, 12, heads=2)
    expected = functional.conv2d(x, widening.skip.weight, widening.skip.bias)
    torch.testing.assert_close(widening(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("dims", "convolve"), [(1, functional.conv1d), (2, functional.conv2d)])
def test_residual_block_formula(normal, awaken, dims, convolve):
    """SiLU(GN(x)) * K1 + W e, then SiLU(GN(.)) * K2, plus the input through a 1x1 convolution."""
    block = awaken(ResBlock(4, 8, dims=dims, embedding=16))
    p = dict(block.named_parameters())
    x, e = normal(2, 4, *[6] * dims), normal(2, 16, seed=1)
    h = functional.silu(functional.group_norm(x, 1, p["norm1.weight"], p["norm1.bias"]))
    h = convolve(h, p["conv1.weight"], p["conv1.bias"], padding=1)
    h = h + (e @ p["embed.weight"].T + p["embed.bias"])[(...,) + (None,) * dims]
    h = functional.silu(functional.group_norm(h, 2, p["norm2.weight"], p["norm2.bias"]))
    h = convolve(h, p["conv2.weight"], p["conv2.bias"], padding=1)
    expected = h + convolve(x, p["skip.weight"], p["skip.bias"])
    torch.testing.assert_close(block(x, e), expected)


class TestFrequencyAttention:
    @pytest.fixture
    def attention(self, awaken):
        return awaken(FrequencyAttention(8, heads=2))

    def test_starts_as_the_identity(self, normal):
        x = normal(2, 8, 6, 5)
        torch.testing.assert_close(FrequencyAttention(8, heads=2)(x), x, rtol=0, atol=0)

    def test_formula(self, attention, normal):
        """softmax(Q K^T / sqrt d) V over bins, for each row, frame and head on its own, in float64."""
        x = normal(2, 8, 6, 3)
        got = attention(x).detach().numpy()
        normalized = attention.norm(x).detach().double().numpy()
        p = {name: value.detach().double().numpy() for name, value in attention.named_parameters()}
        for row in range(2):
            for frame in range(3):
                qkv = normalized[row, :, :, frame].T @ p["qkv.weight"].T + p["qkv.bias"]  # (F, 3 C)
                heads = []
                for head in range(2):
                    q, k, v = (qkv[:, 8 * part + 4 * head : 8 * part + 4 * head + 4] for part in range(3))
                    scores = np.exp(q @ k.T / math.sqrt(4))
                    heads.append(scores / scores.sum(axis=1, keepdims=True) @ v)
                out = np.concatenate(heads, axis=1) @ p["out.weight"].T + p["out.bias"]
                expected = x[row, :, :, frame].double().numpy() + out.T
                np.testing.assert_allclose(got[row, :, :, frame], expected, atol=1e-5)

    def test_frames_do_not_mix(self, attention, normal):
        """One channel of one frame is rolled over its bins, which leaves the statistics of the normalisation alone."""
        x = normal(1, 8, 6, 5)
        rolled = x.clone()
        rolled[:, 0, :, 2] = x[:, 0, :, 2].roll(1, dims=-1)
        before, after = attention(x), attention(rolled)
        others = [0, 1, 3, 4]
        torch.testing.assert_close(after[..., others], before[..., others])
        mixed = (after - rolled - before + x)[:, :, :, 2].abs()
        assert (mixed.amax(dim=(0, 1)) > 1e-3).all()  # inside the frame every bin sees the change

    def test_permuting_frames_permutes_the_output(self, attention, normal):
        x = normal(2, 8, 6, 5)
        order = torch.tensor([3, 0, 4, 1, 2])
        torch.testing.assert_close(attention(x[..., order]), attention(x)[..., order])

    def test_rows_do_not_mix(self, attention, normal):
        x = normal(2, 8, 6, 5)
        torch.testing.assert_close(attention(x)[:1], attention(x[:1]))

    def test_heads_must_divide_the_channels(self):
        with pytest.raises(ValueError, match="8 channels do not divide into 3 attention heads"):
            FrequencyAttention(8, heads=3)
