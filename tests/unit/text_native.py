"""Text in this very process, at the addresses where it runs in a machine."""

import ctypes
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.machine_code import PROT_EXEC, PROT_READ, PROT_WRITE, libc
from testbed.text.image import IMPORT_PREFIX, Image
from testbed.text.model import PAGE, TEXT_BASE, Protection

MAP_PRIVATE_ANONYMOUS_FIXED = 0x2 | 0x20 | 0x100000

FUNCTION = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)


@dataclass(frozen=True)
class Native:
    """A mapped image."""

    image: Image

    def call(self, address: int, a: int, b: int) -> int:
        return int(FUNCTION(address)(a, b))

    def poke(self, address: int, data: bytes) -> None:
        """Write to code while nothing runs it."""
        start = address & -PAGE
        size = (address + len(data) - start + PAGE - 1) & -PAGE
        protect(start, size, PROT_READ | PROT_WRITE)
        ctypes.memmove(address, data, len(data))
        protect(start, size, PROT_READ | PROT_EXEC)

    @contextmanager
    def patched(self, address: int, data: bytes) -> Iterator[None]:
        before = ctypes.string_at(address, len(data))
        self.poke(address, data)
        try:
            yield
        finally:
            self.poke(address, before)


@contextmanager
def mapped(image: Image) -> Iterator[Native]:
    """Map `image` at TEXT_BASE with the protections that it asks for."""
    size = len(image.text)
    address = libc().mmap(
        TEXT_BASE, size, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS_FIXED, -1, 0
    )
    assert address == TEXT_BASE, os.strerror(ctypes.get_errno())
    try:
        ctypes.memmove(TEXT_BASE, image.text, size)
        for segment in image.segments:
            protection = PROT_READ
            protection |= PROT_WRITE if segment.protection & Protection.WRITE else 0
            protection |= PROT_EXEC if segment.protection & Protection.EXEC else 0
            protect(TEXT_BASE + segment.offset, segment.size, protection)
        yield Native(image)
    finally:
        libc().munmap(TEXT_BASE, size)


def protect(address: int, size: int, protection: int) -> None:
    library = libc()
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert library.mprotect(address, size, protection) == 0, os.strerror(ctypes.get_errno())


def libc_imports(*names: str) -> Mapping[str, int]:
    """Return addresses in this process's C library, named as a core names its imports."""
    found = {}
    for name in (*names, "abort"):
        address = ctypes.cast(getattr(libc(), name), ctypes.c_void_p).value
        assert address is not None
        found[IMPORT_PREFIX + name] = address
    found[IMPORT_PREFIX + "missing"] = found.pop(IMPORT_PREFIX + "abort")
    return found


ZLIB_IMPORTS = (
    "malloc", "free", "memcpy", "memmove", "memset", "memchr", "strlen", "__stack_chk_fail",
)  # fmt: skip
