"""The real kernel's own uprobes, by perf_event_open: what ours are measured against.

Source:
    kernel/events/uprobes.c and kernel/trace/trace_event_perf.c (v6.12): the ``uprobe`` event
    source takes a path and an offset into that file, and needs CAP_SYS_ADMIN.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elftools.elf.elffile import ELFFile

from testbed.errors import TestbedError

SOURCE = Path("/sys/bus/event_source/devices/uprobe/type")
SYS_PERF_EVENT_OPEN = 298  # x86-64
PERF_FLAG_FD_CLOEXEC = 8
ATTRIBUTE_SIZE = 112  # PERF_ATTR_SIZE_VER5


class UprobeUnable(TestbedError):
    """Uprobes cannot be used here; the message says why."""


class Uprobe:
    """A place in a file that the kernel can probe, for every process that runs it.

    Args:
        file: an executable or library.
        address: of the instruction, as ELF symbols give it.

    Raises:
        UprobeUnable: this kernel has no uprobes for us, or the address is not in the file.
    """

    def __init__(self, file: Path, address: int) -> None:
        try:
            kind = int(SOURCE.read_text())
        except (OSError, ValueError) as error:
            raise UprobeUnable(f"{SOURCE}: not there: this kernel has no uprobes") from error
        self._path = ctypes.create_string_buffer(os.fsencode(file))
        attribute = bytearray(ATTRIBUTE_SIZE)
        struct.pack_into("<II", attribute, 0, kind, ATTRIBUTE_SIZE)
        # config1 and config2: uprobe_path and probe_offset.
        struct.pack_into(
            "<QQ", attribute, 56, ctypes.addressof(self._path), _file_offset(file, address)
        )
        self._attribute = bytes(attribute)
        self._libc = ctypes.CDLL(None, use_errno=True)

    def attach(self, pid: int) -> int:
        """Probe it for one thread, enabled; return the descriptor, whose end detaches.

        Raises:
            UprobeUnable: the kernel refused.
        """
        handle = self._libc.syscall(
            ctypes.c_long(SYS_PERF_EVENT_OPEN), self._attribute, ctypes.c_int(pid),
            ctypes.c_int(-1), ctypes.c_int(-1), ctypes.c_ulong(PERF_FLAG_FD_CLOEXEC),
        )  # fmt: skip
        if handle < 0:
            reason = os.strerror(ctypes.get_errno()).lower()
            raise UprobeUnable(f"perf_event_open of a uprobe: {reason}; it needs root")
        return int(handle)

    @contextmanager
    def attached(self, pid: int) -> Iterator[int]:
        """Probe it for as long as the context lasts; gives the descriptor."""
        handle = self.attach(pid)
        try:
            yield handle
        finally:
            os.close(handle)


def hits(handle: int) -> int:
    """Return how often an attached probe was hit."""
    return int.from_bytes(os.read(handle, 8), "little")


def _file_offset(file: Path, address: int) -> int:
    with file.open("rb") as stream:
        for segment in ELFFile(stream).iter_segments("PT_LOAD"):
            start = segment["p_vaddr"]
            if start <= address < start + segment["p_filesz"]:
                return int(address - start + segment["p_offset"])
    raise UprobeUnable(f"{file}: {address:#x} is not in it")
