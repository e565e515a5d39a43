"""Which devices can be computed on."""

from __future__ import annotations

import torch


def usable(device: torch.device | str) -> torch.device:
    """A device that is there and knows float64, which mixes, metrics and some models are computed in.

    Apple's GPU (`mps`) does not. Asked first, so that nothing breaks off in the middle of a training.

    Raises:
        ValueError: if it is no such device: why, and what to use.
    """
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # no such device; a build without CUDA; no float64
        reason = str(error).splitlines()[0]
        raise ValueError(f"{str(device)!r} cannot be used here: {reason}. Use cpu instead") from error
    return torch.device(device)
