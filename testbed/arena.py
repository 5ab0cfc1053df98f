"""The shared memory of one machine: laid out and filled in before boot, looked at afterwards.

It is one memfd that cannot change its size and has no name: it is gone with its last user. The
pages that a machine needs are there before it boots, so that too little memory is an error at
once, and not a signal later.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.config import MachineConfig
from testbed.errors import LayoutError, MachineLost, MachineUnable
from testbed.layout import Layout

PAGE = 4096
CACHE_LINE = 64

# Memory for blocks of the harness is had in such pieces, bytes.
HARNESS_STEP = 256 << 10

# Room for tables that are constant while the machine runs, bytes.
TABLES_SIZE = 256 << 10

# Python 3.11's os module does not know it. Source: include/uapi/linux/memfd.h (v6.3).
MFD_EXEC = 0x10


class FunctionEntry(Protocol):
    """One function of text: struct text_function."""

    @property
    def name(self) -> str:
        """Its symbol."""

    @property
    def addr(self) -> int:
        """Address as it runs."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def flags(self) -> int:
        """FUNCTION_* flags."""

    @property
    def module(self) -> int:
        """Index into the modules."""


class ModuleEntry(Protocol):
    """What is loaded and unloaded as a whole: struct text_module."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def start(self) -> int:
        """Address as it runs."""

    @property
    def size(self) -> int:
        """Bytes."""


class SegmentEntry(Protocol):
    """Pages with one protection: struct text_segment."""

    @property
    def offset(self) -> int:
        """Bytes from TEXT_BASE."""

    @property
    def size(self) -> int:
        """Bytes, whole pages."""

    @property
    def protection(self) -> int:
        """SEGMENT_* flags."""


class TextImage(Protocol):
    """The text of a machine, ready to be mapped at TEXT_BASE."""

    @property
    def text(self) -> bytes:
        """The whole region, instruction slots included; whole pages."""

    @property
    def text_map(self) -> NDArray[Any]:
        """One struct text_insn per byte of text."""

    @property
    def functions(self) -> Sequence[FunctionEntry]:
        """Every function that has a name."""

    @property
    def modules(self) -> Sequence[ModuleEntry]:
        """At most MAX_TEXT_MODULES."""

    @property
    def segments(self) -> Sequence[SegmentEntry]:
        """At most MAX_TEXT_SEGMENTS, together the whole region."""

    @property
    def trampolines_offset(self) -> int:
        """Where trampolines are made, bytes from TEXT_BASE."""

    @property
    def trampolines_size(self) -> int:
        """Bytes of room for trampolines."""

    @property
    def slots_offset(self) -> int:
        """Where instruction slots start, bytes from TEXT_BASE."""

    @property
    def slots_size(self) -> int:
        """Bytes of instruction slots."""


@dataclass(frozen=True)
class Region:
    """Part of the arena; offset and size in bytes."""

    offset: int
    size: int


class Arena:
    """The memory of one machine, filled in and ready for its coordinator.

    Args:
        layout: of the core that will run.
        config: of the machine.
        image: the text; None = no text.
        globals_too: the core's own data is part of the memory; an explorer has its own instead.

    Raises:
        MachineUnable: the memory, or the right to run code in it, is not to be had.
        LayoutError: the image does not fit into the layout.
    """

    def __init__(
        self, layout: Layout, config: MachineConfig, image: TextImage | None, *,
        globals_too: bool = True,
    ) -> None:  # fmt: skip
        self.layout = layout
        self.base = layout.constant("ARENA_BASE")
        self.text_base = layout.constant("TEXT_BASE")
        self.regions = _plan(layout, config, image, globals_too)
        self.size = max(region.offset + region.size for region in self.regions.values())
        self._allocated, self._provided = 0, 0  # Bytes of HARNESS.
        self._constants = 0  # Bytes of TABLES.
        self._map: mmap.mmap | None = None
        self.memfd = _create_memory(self.size)
        self._close_memfd = weakref.finalize(self, os.close, self.memfd)
        try:
            for start, end in self._needed(config):
                _allocate(self.memfd, start, end - start)
            flags = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(self.memfd, fcntl.F_ADD_SEALS, flags)
            self._map = mmap.mmap(self.memfd, self.size)
            self.configure(config)
            self._write(image)
        except BaseException:
            self.close()
            raise

    @property
    def machine(self) -> Any:
        """The record of struct machine; writing to it writes to the machine."""
        return self.view(self.base, "struct machine")[0]

    def close(self) -> None:
        """Give the memory back, once the last view of it is gone too. May be called twice."""
        self._close_memfd()
        if self._map is not None:
            with suppress(BufferError):  # A view exists: the mapping ends with it.
                self._map.close()
            self._map = None

    def view(self, address: int, dtype: str | np.dtype[Any], count: int = 1) -> NDArray[Any]:
        """Return `count` items at an address as the machine sees it; writes go through.

        Args:
            address: in the arena, the text, or a global of the core.
            dtype: a struct or scalar of the layout by name, or any dtype.
            count: items; the shape of the result is ``[count]``.

        Raises:
            LayoutError: that is not shared memory.
        """
        kind = self.layout.dtype(dtype) if isinstance(dtype, str) else dtype
        offset = self._offset(address, kind.itemsize * count)
        return np.ndarray((count,), kind, self._memory(), offset)

    def global_(self, name: str, file: str = "") -> NDArray[Any]:
        """Return a global of the core as an array, of no dimensions if it is not one in C."""
        variable = self.layout.variable(name, file)
        kind = self.layout.dtype_of(variable.type)
        return np.ndarray((), kind, self._memory(), self._offset(variable.address, kind.itemsize))

    def read(self, address: int, size: int) -> bytes:
        """Return a copy of `size` bytes at an address as the machine sees it."""
        offset = self._offset(address, size)
        return self._memory()[offset : offset + size]

    def alloc(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory for a block that C tasks get; it is never given back, and starts as 0.

        Args:
            what: a type of the layout by name, a dtype, or a size in bytes.
            count: how many of it.

        Returns:
            The address, a multiple of a cache line.

        Raises:
            MachineUnable: no memory is left: raise ``harness_mb``; or the system has none.
        """
        if isinstance(what, str):
            what = self.layout.dtype(what)
        size = (what if isinstance(what, int) else what.itemsize) * count
        region = self.regions["HARNESS"]
        if self._allocated + size > region.size:
            raise MachineUnable(
                f"harness_mb={region.size >> 20}: {size} bytes more do not fit: raise it"
            )
        address = self.base + region.offset + self._allocated
        end = self._allocated + -(-size // CACHE_LINE) * CACHE_LINE
        self._provide(min(end, region.size))
        self._allocated = end
        return address

    def forget(self) -> None:
        """Take all blocks back that were given; nobody may use them any more."""
        for name, used in (("HARNESS", self._allocated), ("TABLES", self._constants)):
            start = self.regions[name].offset
            self._memory()[start : start + used] = bytes(used)
        self._allocated = self._constants = 0

    def alloc_constant(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory for a block that nobody writes once the machine has booted.

        Args:
            what: as for `alloc`.
            count: how many of it.

        Raises:
            MachineUnable: no memory is left.
        """
        if isinstance(what, str):
            what = self.layout.dtype(what)
        size = (what if isinstance(what, int) else what.itemsize) * count
        region = self.regions["TABLES"]
        if self._constants + size > region.size:
            raise MachineUnable(f"tables of {size} bytes more do not fit: use fewer operations")
        address = self.base + region.offset + self._constants
        self._constants += -(-size // CACHE_LINE) * CACHE_LINE
        return address

    def _provide(self, size: int) -> None:
        """Have the first `size` bytes of HARNESS: most machines use few of them."""
        if size > self._provided:
            region = self.regions["HARNESS"]
            provided = min(-(-size // HARNESS_STEP) * HARNESS_STEP, region.size)
            _allocate(self.memfd, region.offset + self._provided, provided - self._provided)
            self._provided = provided

    def _memory(self) -> mmap.mmap:
        if self._map is None:
            raise MachineLost("the machine is closed: its memory is gone")
        return self._map

    def _offset(self, address: int, size: int) -> int:
        text, data = self.regions["TEXT"], self.regions["GLOBALS"]
        data_start = self.layout.globals_range[0]
        for start, length, offset in (
            (self.base, self.size, 0),
            (self.text_base, text.size, text.offset),
            (data_start, data.size, data.offset),
        ):
            if start <= address and address + size <= start + length:
                return address - start + offset
        raise LayoutError(f"{address:#x}: {size} bytes from here are not shared memory")

    def _needed(self, config: MachineConfig) -> list[tuple[int, int]]:
        """Return what must be there before boot: not CPUs and stacks that do not exist.

        Nor is what `alloc` gives: it is had when it is asked for.
        """
        layout, stacks, harness = self.layout, self.regions["STACKS"], self.regions["HARNESS"]
        one_stack = layout.constant("TASK_STACK_SIZE") + layout.constant("TRAP_STACK_SIZE")
        # Idle task, stopper and two more on each CPU, and the machine's own.
        tasks = min(4 * config.cpus + 8, layout.constant("MAX_TASKS"))
        cpus = layout.offset("struct machine", "cpu")
        return [
            (0, cpus + config.cpus * layout.sizeof("struct cpu")),
            (self.regions["GLOBALS"].offset, stacks.offset + tasks * one_stack),
            (stacks.offset + stacks.size, harness.offset),
            (harness.offset + harness.size, self.size),
        ]

    def configure(self, config: MachineConfig) -> None:
        """Write down how the machine is set up; it must not be booted yet, nor get more CPUs."""
        machine = self.machine
        for name in ("cpus", "cores", "tick_us", "hang_ms", "stall_ms", "seed", "fail_arm",
                     "fail_alloc", "write_delay", "device_us", "reuse_delay", "pin"):  # fmt: skip
            machine["config"][name] = getattr(config, name)
        method = self.layout.enum("poke_method")[f"POKE_{config.poke.upper()}"]
        machine["config"]["poke_method"] = method
        model = self.layout.enum("preempt_model")[f"PREEMPT_{config.preempt.upper()}"]
        machine["config"]["preempt"] = model

    def _write(self, image: TextImage | None) -> None:
        machine = self.machine
        machine["arena_size"] = self.size
        machine["globals_address"] = self.layout.globals_range[0]
        for name, number in self.layout.enum("region_id").items():
            if name.removeprefix("REGION_") in self.regions:
                region = self.regions[name.removeprefix("REGION_")]
                machine["region"][number] = (region.offset, region.size)
        if image is not None:
            self._write_image(machine["text"], image)
        machine["magic"] = self.layout.constant("MACHINE_MAGIC")

    def _write_image(self, text: Any, image: TextImage) -> None:
        text["size"] = len(image.text)
        for name in ("trampolines_offset", "trampolines_size", "slots_offset", "slots_size"):
            text[name] = getattr(image, name)
        for name, entries in (
            ("function", image.functions),
            ("module", image.modules),
            ("segment", image.segments),
        ):
            text[f"nr_{name}s"] = len(entries)
            if name != "function":
                _fill(text[name], entries)
        live = self.layout.enum("module_state")["MODULE_LIVE"]
        text["module"]["state"][: len(image.modules)] = live
        _fill(self._region_view("FUNCTIONS", "struct text_function"), image.functions)
        if image.text_map.dtype != self.layout.dtype("struct text_insn"):
            raise LayoutError("the text map's rows are not struct text_insn")
        for name, data in (
            ("TEXT_MAP", image.text_map.tobytes()),
            ("PRISTINE", image.text),
            ("TEXT", image.text),
        ):
            start = self.regions[name].offset
            self._memory()[start : start + len(data)] = data

    def _region_view(self, name: str, dtype: str) -> NDArray[Any]:
        region = self.regions[name]
        count = region.size // self.layout.sizeof(dtype)
        return self.view(self.base + region.offset, dtype, count)


def _plan(
    layout: Layout, config: MachineConfig, image: TextImage | None, globals_too: bool
) -> dict[str, Region]:
    """Return the regions by name, in the order in which they lie."""
    start, end = layout.globals_range if globals_too else (0, 0)
    text = len(image.text) if image else 0
    functions = len(image.functions) if image else 0
    one_stack = layout.constant("TASK_STACK_SIZE") + layout.constant("TRAP_STACK_SIZE")
    sizes = {
        "MACHINE": layout.sizeof("struct machine"),
        "GLOBALS": end - start,
        "STACKS": layout.constant("MAX_TASKS") * one_stack,
        "HEAP": config.heap_mb << 20,
        "HARNESS": config.harness_mb << 20,
        "TABLES": TABLES_SIZE,
        "FUNCTIONS": functions * layout.sizeof("struct text_function"),
        "TEXT_MAP": text * layout.sizeof("struct text_insn"),
        "PRISTINE": text,
        "TEXT": text,
    }
    regions, offset = {}, 0
    for name, size in sizes.items():
        regions[name] = Region(offset, -(-size // PAGE) * PAGE)
        offset += regions[name].size
    return regions


def _fill(records: NDArray[Any], entries: Sequence[Any]) -> None:
    """Copy the fields that `entries` have into the first of `records`."""
    if len(entries) > len(records):
        raise LayoutError(f"{len(entries)} entries where {len(records)} fit")
    assert records.dtype.names is not None
    for name in records.dtype.names:
        if not entries or not hasattr(entries[0], name):
            continue
        values = [getattr(entry, name) for entry in entries]
        if name == "name":
            values = [value.encode() for value in values]
            room = records.dtype[name].itemsize - 1
            long = next((value for value in values if len(value) > room), None)
            if long is not None:
                raise LayoutError(f"{long.decode()}: a name has at most {room} bytes")
        records[name][: len(values)] = values


def _create_memory(size: int) -> int:
    """Return a new memfd; its pages may be run unless the system forbids that."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        try:
            memfd = os.memfd_create("testbed", flags | MFD_EXEC)
        except OSError as error:
            # EINVAL: a kernel before 6.3, where every memfd may be run.
            if error.errno != errno.EINVAL:
                raise
            memfd = os.memfd_create("testbed", flags)
    except PermissionError as error:
        raise MachineUnable(
            "memory that may be run is forbidden here (vm.memfd_noexec=2): "
            "allow it, for example: sysctl vm.memfd_noexec=1"
        ) from error
    except OSError as error:
        raise MachineUnable(f"no memory file for the machine: {error.strerror}") from error
    try:
        os.ftruncate(memfd, size)
    except OSError as error:
        os.close(memfd)
        raise MachineUnable(f"no memory file of {size >> 20} MB: {error.strerror}") from error
    return memfd


def _allocate(memfd: int, start: int, size: int) -> None:
    if size <= 0:
        return
    try:
        os.posix_fallocate(memfd, start, size)
    except OSError as error:
        raise MachineUnable(
            f"no memory for the machine ({size >> 20} MB wanted at once: {error.strerror}): "
            "use fewer CPUs or a smaller heap_mb"
        ) from error
