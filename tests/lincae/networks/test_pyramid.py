import pytest
import torch

from lincae.networks.pyramid import Pyramid
from lincae.networks.sizes import NetworkSizes


@pytest.fixture
def pyramid(sizes, awaken):
    torch.manual_seed(0)
    return awaken(Pyramid(sizes, bins=64))


def test_reference_shapes():
    with torch.device("meta"):
        maps = Pyramid(NetworkSizes(), bins=1024)(torch.empty(1, 64, 8))
    expected = [(64, 1024, 64), (128, 256, 64), (256, 128, 32), (256, 64, 16), (256, 32, 8)]
    assert [tuple(m.shape[1:]) for m in maps] == expected


@pytest.mark.parametrize("length", [1, 3])
def test_any_number_of_latents(pyramid, normal, length):
    maps = pyramid(normal(2, 3, length))
    assert [tuple(m.shape[2:]) for m in maps] == [
        (64, 8 * length), (16, 8 * length), (8, 4 * length), (4, 2 * length), (2, length)
    ]  # fmt: skip


def test_rows_do_not_mix(pyramid, normal):
    z = normal(3, 3, 2)
    for together, alone in zip(pyramid(z), pyramid(z[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_starts_linear_with_bins_outermost(sizes, normal):
    """Residual blocks start as the identity: the coarsest map is two matrices on z, channel c of bin b at b C + c."""
    pyramid = Pyramid(sizes, bins=64)
    z = normal(1, 3, 2)
    first, last = pyramid.conv_in, pyramid.conv_flat
    flat = last.weight[..., 0] @ (first.weight[..., 0] @ z[0] + first.bias[:, None]) + last.bias[:, None]
    coarsest = pyramid(z)[-1][0]
    assert coarsest.shape == (8, 2, 2)
    for bin in range(2):
        torch.testing.assert_close(coarsest[:, bin], flat[8 * bin : 8 * bin + 8])


def test_each_map_is_made_from_the_next_coarser_one(sizes, normal):
    pyramid = Pyramid(sizes, bins=64)
    maps = pyramid(normal(1, 3, 2))
    for fine, coarse, upsample in zip(maps[:-1], maps[1:], pyramid.upsamples, strict=True):
        torch.testing.assert_close(upsample(coarse), fine)
