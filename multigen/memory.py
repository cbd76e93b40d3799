"""What the C library does with memory that is freed."""

import os
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of malloc.h
_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed for what is next, for the whole process; False where the C library is another one.

    By itself it maps blocks of more than 32 MB anew and hands back the end of its heap, and the system clears each page
    when it is first touched. Tensors on a CPU come and go thousands of times, in the same sizes: what they take at
    their most is kept from then on.
    """
    try:
        glibc = sys.platform == "linux" and os.confstr("CS_GNU_LIBC_VERSION")
    except ValueError:  # musl does not know the name
        glibc = None
    if not glibc:
        return False
    import ctypes

    tune = ctypes.CDLL(None).mallopt
    done = [tune(_MMAP_MAX, 0), tune(_TRIM_THRESHOLD, -1), tune(_TOP_PAD, _PAD)]
    return all(done)
