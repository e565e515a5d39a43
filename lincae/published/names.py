"""The published names of our tensors.

Both networks are the same; theirs keep blocks, connections and resampling of a path in one list, in the order in which
they run, and ours in lists by kind, finest level first. So what runs from coarse to fine counts backwards here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor

from lincae.networks.sizes import NetworkSizes
from lincae.networks.unet import levels_of_blocks

INSIDE_BLOCKS = (
    ("embed.", "proj_emb."),
    ("skip.", "res_conv."),
    ("attention.norm.", "att.norm."),
    ("attention.qkv.", "att.mha.in_proj_"),
    ("attention.out.", "att.mha.out_proj."),
    ("conv.", "c."),
)
"""Beginnings of names inside a residual block or a resampling, ours and theirs; the others are equal."""

BIN_GAIN = "encoder.gain.scale"
"""The one tensor of another shape: (1, 1, F, 1) there, (F, 1) here."""


def modules(sizes: NetworkSizes) -> Iterator[tuple[str, str]]:
    """Modules (and one parameter) by their name here and there."""
    coarsest = sizes.levels - 1

    yield "encoder.conv_in", "encoder.conv_inp"
    yield "encoder.bin_gain", BIN_GAIN
    for level in range(sizes.levels):
        yield f"encoder.blocks.{level}", f"encoder.down_layers.{2 * level}"
        yield f"encoder.downsamples.{level}", f"encoder.down_layers.{2 * level + 1}"
    yield "encoder.norm_map", "encoder.prenorm_1d_to_2d"
    yield "encoder.conv_flat", "encoder.bottleneck_layers.0"
    for i in range(sizes.bottleneck_blocks):
        yield f"encoder.bottleneck.{i}", f"encoder.bottleneck_layers.{i + 1}"
    yield "encoder.norm_out", "encoder.norm_out"
    yield "encoder.conv_out", "encoder.conv_out"

    yield "pyramid.conv_in", "decoder.conv_inp"
    for i in range(sizes.bottleneck_blocks):
        yield f"pyramid.bottleneck.{i}", f"decoder.bottleneck_layers.{i}"
    yield "pyramid.conv_flat", "decoder.conv_out_bottleneck"
    for level in range(sizes.levels):
        yield f"pyramid.blocks.{level}", f"decoder.up_layers.{2 * (coarsest - level)}"
        yield f"pyramid.upsamples.{level}", f"decoder.up_layers.{2 * (coarsest - level) - 1}"

    unet, blocks = "denoiser.network", levels_of_blocks(sizes)
    yield f"{unet}.embedding", "emb_proj"
    yield f"{unet}.scale_in", "scale_inp"
    yield f"{unet}.scale_out", "scale_out"
    yield f"{unet}.conv_in", "conv_inp"
    for i, level in enumerate(blocks):
        down, up = 2 * i + level, 2 * (len(blocks) - 1 - i) + coarsest - level
        yield f"{unet}.connect.down.{i}", f"down_layers.{down}"
        yield f"{unet}.down.{i}", f"down_layers.{down + 1}"
        yield f"{unet}.connect.up.{i}", f"up_layers.{up}"
        yield f"{unet}.up.{i}", f"up_layers.{up + 1}"
    per_level = 2 * sizes.unet_blocks + 1
    for level in range(coarsest):
        yield f"{unet}.downsamples.{level}", f"down_layers.{per_level * (level + 1) - 1}"
        yield f"{unet}.upsamples.{level}", f"up_layers.{per_level * (coarsest - level) - 1}"
    yield f"{unet}.connect.out", "conv_decoded"
    yield f"{unet}.norm_out", "norm_out"
    yield f"{unet}.conv_out", "conv_out"


def published_names(ours: Iterable[str], sizes: NetworkSizes) -> dict[str, str]:
    """The published name of each of our parameters."""
    table = dict(modules(sizes))
    return {name: _published(name, table) for name in ours}


def _published(name: str, table: Mapping[str, str]) -> str:
    module = next(module for module in table if f"{name}.".startswith(f"{module}."))
    inside = name[len(module) + 1 :]
    for here, there in INSIDE_BLOCKS:
        if inside.startswith(here):
            inside = there + inside.removeprefix(here)
            break
    return f"{table[module]}.{inside}" if inside else table[module]


def published_tensors(ours: Mapping[str, Tensor], sizes: NetworkSizes) -> dict[str, Tensor]:
    """Our tensors under their published names, in their published shapes."""
    names = published_names(ours, sizes)
    theirs = {names[name]: tensor for name, tensor in ours.items()}
    return theirs | {BIN_GAIN: theirs[BIN_GAIN][None, None]}


def unused_shapes(sizes: NetworkSizes) -> dict[str, tuple[int, ...]]:
    """Tensors that the published networks have and never use: noise projections in the decoder's 1-D blocks."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(sizes.bottleneck_blocks):
        projection = f"decoder.bottleneck_layers.{i}.proj_emb"
        shapes[f"{projection}.weight"] = (sizes.bottleneck, sizes.embedding)
        shapes[f"{projection}.bias"] = (sizes.bottleneck,)
    return shapes
