"""In which order the weights of convolutions lie in memory."""

from __future__ import annotations

import torch
from torch import nn


def order_weights(module: nn.Module, channels_last: bool | None, device: torch.device) -> None:
    """Put 4-D weights in channels-last order, in place; activations follow them.

    Args:
        channels_last: None does so for a GPU, whose tensor cores read that order. On a CPU the gradient of group
            normalisation is slower in it than convolutions are faster.
        device: which is going to train.
    """
    if channels_last is None:
        channels_last = device.type != "cpu"
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
