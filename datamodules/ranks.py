"""What one process of a training finds out or says for all; no part of Lightning, which workers need not import."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

Result = TypeVar("Result")

PATIENCE = timedelta(days=7)
"""A first scan of a large corpus may take hours; whatever happens to rank 0 ends the wait at once."""


def warn(message: str) -> None:
    """Warns in the process of rank 0 alone."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0:
        warnings.warn(message, stacklevel=3)


def on_rank_zero(work: Callable[[], Result]) -> Result:
    """What `work` returns in the process of rank 0, the only one that does it, in every process.

    Must be called by all processes.

    Raises:
        Exception: in every process, what `work` raises in that of rank 0.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return work()
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    told: list[tuple[Result | None, Exception | None]] = [(None, None)]
    if dist.get_rank() == 0:
        try:
            told = [(work(), None)]
        except Exception as error:
            told = [(None, error)]
    dist.broadcast_object_list(told, src=0, group=group)
    dist.destroy_process_group(group)
    ((result, error),) = told
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
