import pytest

from lincae.networks.sizes import NetworkSizes


def test_reference_sizes():
    sizes = NetworkSizes()
    assert sizes.levels == 5
    assert sizes.time_stride == 8  # 8 frames of 512 samples: one latent per 4096 samples
    assert sizes.coarsest_bins(1024) == 32


def test_bins_that_strides_do_not_divide_are_an_error():
    with pytest.raises(ValueError, match=r"100 bins are not a multiple of the frequency strides' product 32"):
        NetworkSizes().coarsest_bins(100)


@pytest.mark.parametrize(
    "lists",
    [{"widths": (64, 128)}, {"attention": (True,)}, {"strides": ((2, 2),)}],
)
def test_lists_of_different_lengths_are_an_error(lists):
    with pytest.raises(ValueError, match="widths need"):
        NetworkSizes(**lists)
