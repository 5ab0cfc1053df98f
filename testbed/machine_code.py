"""Runs a few bytes of machine code in this process: how fast its clock ticks, and what it may do.

The bytes lie in a memfd that is mapped twice, writable at one address and executable at another,
as the text under test is.
"""

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
MAP_SHARED = 1
MFD_CLOEXEC = 1
# rdtsc; shl rdx, 32; or rax, rdx; ret
READ_CYCLES = bytes.fromhex("0f3148c1e2204809d0c3")
MEASURE_S = 0.005


def libc() -> ctypes.CDLL:
    """Return the C library, its ``errno`` kept."""
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
    ]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library


def map_file(handle: int, protection: int, address: int = 0, flags: int = 0) -> int:
    """Map one page of the file `handle` and return its address.

    Raises:
        OSError: the kernel refused.
    """
    mapped = libc().mmap(
        address or None, mmap.PAGESIZE, protection, MAP_SHARED | flags, handle, 0
    )
    if mapped in (None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    assert isinstance(mapped, int)
    return mapped


@contextmanager
def executable(code: bytes) -> Iterator[int]:
    """Give the address of `code`, ready to be run, for as long as the context lasts.

    Args:
        code: at most a page.

    Raises:
        OSError: memory cannot be made executable here.
    """
    handle = os.memfd_create("testbed-code", MFD_CLOEXEC)
    try:
        os.ftruncate(handle, mmap.PAGESIZE)
        os.pwrite(handle, code, 0)
        address = map_file(handle, PROT_READ | PROT_EXEC)
    finally:
        os.close(handle)
    try:
        yield address
    finally:
        libc().munmap(address, mmap.PAGESIZE)


def cycles_per_ns() -> float:
    """Measure how many cycles of the time stamp counter make a ns; takes 5 ms.

    Raises:
        OSError: memory cannot be made executable here.
    """
    with executable(READ_CYCLES) as address:
        read = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
        start_ns, start = time.perf_counter_ns(), read()
        time.sleep(MEASURE_S)
        stop_ns, stop = time.perf_counter_ns(), read()
    return float(stop - start) / (stop_ns - start_ns)
