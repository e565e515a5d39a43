"""What this machine has: CPU cores, bf16 instructions, and the file locks and forks of POSIX."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

import torch

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""Keys of `torch.cpu.get_capabilities`: two of x86, one of ARM. AVX-512 without them emulates bf16."""


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_bf16() -> bool:
    """Whether the CPU has instructions for bf16."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BF16_INSTRUCTIONS)


def file_locks() -> Any:
    """The module `fcntl`.

    Raises:
        RuntimeError: if the system has none, as Windows.
    """
    try:
        import fcntl
    except ModuleNotFoundError as error:
        raise missing("file locks of POSIX") from error
    return fcntl


def forks() -> Any:
    """The multiprocessing context whose processes are forks.

    Raises:
        RuntimeError: if the system has none, as Windows.
    """
    try:
        return multiprocessing.get_context("fork")
    except ValueError as error:
        raise missing("forks of processes") from error


def missing(what: str) -> RuntimeError:
    """The error for what only Linux and macOS have."""
    return RuntimeError(f"this command needs {what}, which this system lacks: run it on Linux, macOS or in WSL")
