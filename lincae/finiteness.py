"""Where numbers stop being finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class NotFinite(NamedTuple):
    """A tensor that holds NaN or infinity.

    Attributes:
        name: of the tensor.
        values: how many are not finite.
        size: how many there are.
        rows: along its first axis, those with such values.
    """

    name: str
    values: int
    size: int
    rows: list[int]


def not_finite(name: str, tensor: Tensor) -> list[NotFinite]:
    """One entry if the tensor is not finite, else none."""
    bad = ~torch.isfinite(tensor.detach())
    if not bad.any():
        return []
    rows = bad.reshape(len(bad), -1).any(dim=1) if bad.ndim else bad.reshape(1)
    return [NotFinite(name, int(bad.sum()), bad.numel(), rows.nonzero().flatten().tolist())]


@contextmanager
def watched(root: nn.Module) -> Iterator[list[NotFinite]]:
    """Lists the outputs of submodules that are not finite, in the order in which they are made."""
    found: list[NotFinite] = []

    def look(name: str) -> Any:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            outputs = output if isinstance(output, list | tuple) else [output]
            for tensor in outputs:
                if isinstance(tensor, Tensor):
                    found.extend(not_finite(f"output of {name}", tensor))

        return hook

    handles = [module.register_forward_hook(look(name)) for name, module in root.named_modules() if name]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
