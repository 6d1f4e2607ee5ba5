"""Memory of the C library for tensors on the CPU."""

import ctypes
import platform

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensors; with another C library do nothing.

    By its own choice it returns tensors of some MB to the system and gets zeroed pages for the next
    ones: in each iteration hundreds of MB of page faults, 5 to 15 % of a training's time.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    library.mallopt(_M_MMAP_MAX, 0)
