"""The C allocator, told to keep the memory of frames. Once for the whole process, when a server starts.

By default glibc hands every freed block of a megabyte or so back to the kernel and asks for it again for the next frame,
page by page: at 512² that was 0.4 to 1 ms of a gRPC round trip (two cores, 512×512 raw, p50; tests/e2e/test_grpc_overhead.py).
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 128 * 2**20  # what one heap may keep free for the next frames
_LARGEST_BLOCK_BYTES = 32 * 2**20  # the most that glibc takes; a 1080p RGB frame has 6 MB


def keep_freed_memory() -> bool:
    """Serve blocks of up to 32 MB from memory that is kept. False where the C library is not glibc; nothing changes then."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
