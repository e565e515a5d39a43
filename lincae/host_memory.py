"""Memory of the host that a process keeps for its next tensors."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """From now on, have this process keep the memory of freed tensors for the next ones.

    glibc's allocator returns large blocks to the system as soon as they are free, and the system fills each new one
    with zeros, page by page: on a CPU that can take as long as the arithmetic of a training step. The process then
    holds its peak of memory until it ends.

    Returns:
        Whether the C library has this setting, as glibc does.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, -1))
