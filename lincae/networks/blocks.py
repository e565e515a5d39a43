"""Blocks that encoder, pyramid and UNet share. Maps are (N, C, F, L), sequences (N, C, L)."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def zero_init(module: nn.Module) -> nn.Module:
    """Zero all parameters, so that a residual branch starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in groups of four channels or more, at most 32 groups."""
    return nn.GroupNorm(min(max(channels // 4, 1), 32), channels)


def _kernel(stride: tuple[int, int]) -> tuple[int, int]:
    """Kernel that reaches one bin over on either side of a stride: 5 for 4, 3 for 2, 1 for 1."""
    frequency, time = (1 if s == 1 else s + 1 for s in stride)
    return frequency, time


def _padding(kernel: tuple[int, int]) -> tuple[int, int]:
    return kernel[0] // 2, kernel[1] // 2


class Downsample(nn.Module):
    """Strided convolution, (N, C, F, L) -> (N, C', ceil(F / s_f), ceil(L / s_t)).

    Args:
        normalize: group-normalise the input first, as the encoder does and the UNet does not.
    """

    def __init__(self, channels: int, out_channels: int, stride: tuple[int, int], normalize: bool = False) -> None:
        super().__init__()
        self.norm = group_norm(channels) if normalize else nn.Identity()
        kernel = _kernel(stride)
        self.conv = nn.Conv2d(channels, out_channels, kernel, stride, _padding(kernel))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


class Upsample(nn.Module):
    """Nearest-neighbour repetition and a convolution, (N, C, F, L) -> (N, C', s_f F, s_t L)."""

    def __init__(self, channels: int, out_channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.stride = stride
        kernel = _kernel(stride)
        self.conv = nn.Conv2d(channels, out_channels, kernel, padding=_padding(kernel))

    def forward(self, x: Tensor) -> Tensor:
        scale = (float(self.stride[0]), float(self.stride[1]))
        return self.conv(functional.interpolate(x, scale_factor=scale, mode="nearest"))


class FrequencyAttention(nn.Module):
    """Residual self-attention over the bins of each time frame; starts as the identity."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} attention heads")
        self.heads = heads
        self.norm = group_norm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        self.out = zero_init(nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1]
        sequences = rearrange(self.norm(x), "n c f l -> (n l) f c")
        q, k, v = rearrange(self.qkv(sequences), "b f (three h c) -> three b h f c", three=3, h=self.heads)
        attended = functional.scaled_dot_product_attention(q, k, v)
        out = self.out(rearrange(attended, "b h f c -> b f (h c)"))
        return x + rearrange(out, "(n l) f c -> n c f l", l=frames)


class ResBlock(nn.Module):
    """GN, SiLU, conv, (+ noise embedding), GN, SiLU, conv, plus the input; then frequency attention where asked for.

    The last convolution, the embedding's projection and the attention's output start at zero.

    Args:
        channels, out_channels: where they differ, the input passes through a 1x1 convolution.
        dims: 2 for maps, 1 for sequences.
        embedding: features of the noise embedding; None for a block without one.
        heads: attention heads; None for a block without attention.

    Attributes:
        recompute: keep the input alone for the backward pass, which computes the block once more.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        dims: int = 2,
        embedding: int | None = None,
        heads: int | None = None,
    ) -> None:
        super().__init__()
        convolution: type[nn.Conv1d] | type[nn.Conv2d] = nn.Conv2d if dims == 2 else nn.Conv1d
        self.norm1 = group_norm(channels)
        self.conv1 = convolution(channels, out_channels, 3, padding=1)
        self.embed = None if embedding is None else zero_init(nn.Linear(embedding, out_channels))
        self.norm2 = group_norm(out_channels)
        self.conv2 = zero_init(convolution(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if channels == out_channels else convolution(channels, out_channels, 1)
        self.attention = nn.Identity() if heads is None else FrequencyAttention(out_channels, heads)
        self.recompute = False

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(self.compute, x, embedding, use_reentrant=False, preserve_rng_state=False)
        return self.compute(x, embedding)

    def compute(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """The output for maps or sequences x, and the noise embedding (N, `embedding`)."""
        h = self.conv1(functional.silu(self.norm1(x)))
        if self.embed is not None:
            shift = self.embed(embedding)
            h = h + shift.view(*shift.shape, *[1] * (h.ndim - 2))
        h = self.conv2(functional.silu(self.norm2(h)))
        return self.attention(h + self.skip(x))


def recompute_blocks(module: nn.Module) -> int:
    """Have all residual blocks of a module computed again in the backward pass; gives their number."""
    blocks = [block for block in module.modules() if isinstance(block, ResBlock)]
    for block in blocks:
        block.recompute = True
    return len(blocks)


def sinusoids(values: Tensor, features: int) -> Tensor:
    """Sines, then cosines, of each value at frequencies 10000^(-k / (features/2 - 1)): (N,) -> (N, features)."""
    half = features // 2
    frequencies = torch.exp(torch.arange(half, device=values.device) * (-math.log(10_000) / (half - 1)))
    phases = values[:, None] * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=1)


def mlp(features: int, out_features: int | None = None) -> nn.Sequential:
    """Linear, SiLU, Linear, SiLU; then a zero-initialised Linear to `out_features` where given."""
    layers: list[nn.Module] = [nn.Linear(features, features), nn.SiLU(), nn.Linear(features, features), nn.SiLU()]
    if out_features is not None:
        layers.append(zero_init(nn.Linear(features, out_features)))
    return nn.Sequential(*layers)
