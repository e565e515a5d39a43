"""What the benchmarks run on: its name, its clock, its peak."""

from __future__ import annotations

import platform
import time

import torch

from lincae.machine import has_bf16


def machine(device: str) -> str:
    """What computes."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    capability = torch.backends.cpu.get_cpu_capability()
    bf16 = "with" if has_bf16() else "without"
    return f"{platform.machine()}, {torch.get_num_threads()} threads, {capability} {bf16} bf16"


def now(device: str) -> float:
    """The clock, once the device has done its work."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_flops(device: str, dtype: torch.dtype, size: int | None = None) -> float:
    """FLOP/s of the fastest of several products of two large square matrices."""
    size = size or (8192 if torch.device(device).type == "cuda" else 3072)
    one, other = torch.randn(2, size, size, device=device).to(dtype)
    spans = []
    for _ in range(10):
        begin = now(device)
        one @ other
        spans.append(now(device) - begin)
    return 2 * size**3 / min(spans)
