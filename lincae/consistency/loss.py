"""The distance between student and teacher."""

from __future__ import annotations

import math

from torch import Tensor

C = 0.00054  # of the pseudo-Huber loss, per square root of the dimension (arXiv 2310.14189, section 3.3)


def pseudo_huber(estimate: Tensor, target: Tensor) -> Tensor:
    """sqrt(|d|^2 + c^2) - c over all dimensions of a row, c = 0.00054 sqrt(dimension).

    Args:
        estimate, target: (N, ...).

    Returns:
        (N,), float32.
    """
    difference = (estimate.float() - target.float()).flatten(1)
    c = C * math.sqrt(difference.shape[1])
    return (difference.square().sum(dim=1) + c**2).sqrt() - c
