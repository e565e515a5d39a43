"""Every tensor of the authors' classes has its place, at any size."""

import pytest
import torch
from linear_cae.components.generator import UNet

from lincae.autoencoders.consistency import ConsistencyAutoencoder
from lincae.networks.sizes import NetworkSizes
from lincae.published.names import published_names, published_tensors, unused_shapes
from lincae.published.settings import published_settings


def shapes(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "sizes",
    [
        NetworkSizes(),
        NetworkSizes(widths=(8, 24), strides=((2, 2),), attention=(True, False), unet_blocks=1),
        NetworkSizes(
            widths=(4, 8, 12, 16),
            strides=((2, 2), (4, 1), (4, 1)),
            attention=(False, True, False, True),
            unet_blocks=3,
            bottleneck_blocks=1,
        ),
    ],
)
def test_the_published_names_are_those_of_the_authors_classes(sizes):
    with torch.device("meta"):
        ours = ConsistencyAutoencoder(sizes=sizes)
        theirs = UNet(**published_settings(ours)["generator"])
    found = shapes(published_tensors(ours.state_dict(), sizes))
    unused = unused_shapes(sizes)
    assert found.keys().isdisjoint(unused)
    assert found | unused == shapes(theirs.state_dict())


def test_eight_tensors_have_no_effect_at_reference_size():
    unused = unused_shapes(NetworkSizes())
    assert len(unused) == 8
    assert sum(torch.Size(shape).numel() for shape in unused.values()) == 526_336


def test_the_unets_way_up_counts_backwards():
    names = published_names([f"denoiser.network.up.{i}.conv1.weight" for i in (9, 8, 1, 0)], NetworkSizes())
    assert list(names.values()) == [f"up_layers.{i}.conv1.weight" for i in (1, 3, 21, 23)]
