"""Names for the data of an explored program: ``lock.owner``, ``ring.slot[3]``, a heap object.

Globals and the members of their types come from the debug information; whatever is not a global
is told by where it lies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from testbed.debug_info import Variable
from testbed.dwarf import Array, Named, Scalar, Text, Type
from testbed.layout import Layout
from testbed.report.addresses import ARENA_BASE, TEXT_BASE, Addresses

# The region of text, as it is written: data has the names of what runs there.
TEXT = "text"

# The engine's own: workers/virtual/programs/pthread.c; stacks of threads.
STACKS_BASE = 0x1300_0000_0000
STACK_SIZE = 64 << 10
STACKS = 16

# Types of libc whose members mean nothing to a reader.
OPAQUE = ("pthread_", "sem_t", "union pthread", "struct __pthread", "once_flag", "mtx_t", "cnd_t")

SMALL = 4096
DECIMAL = 100_000


@dataclass
class HeapObject:
    """A block that an event allocated."""

    address: int
    size: int
    name: str


@dataclass
class Names:
    """Names of the data of one core.

    Attributes:
        layout: types and globals.
        addresses: names of functions.
        heap: blocks allocated in the run that is told.
        regions: of an arena: start, end and bytes of each element.
    """

    layout: Layout
    addresses: Addresses
    heap: list[HeapObject] = field(default_factory=list)
    regions: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        machine = Variable(ARENA_BASE, Named("struct machine"), "", True)
        found = sorted(
            ((one.address, name, one)
             for name, one in [("machine", machine), *self.layout.all_variables()]),
            key=lambda row: row[:2],
        )  # fmt: skip
        self._starts = [address for address, _, _ in found]
        self._variables = [(name, one) for _, name, one in found]

    def variable(self, address: int) -> tuple[str, Variable, int] | None:
        """Return the name of the global at `address`, it, and how far inside; None if none is."""
        position = bisect_right(self._starts, address) - 1
        if position < 0:
            return None
        name, variable = self._variables[position]
        offset = address - variable.address
        return (name, variable, offset) if offset < self._size(variable.type) else None

    def name(self, address: int, size: int = 0) -> str:
        """Return how a program would call the datum at `address`, of `size` bytes if known."""
        found = self.variable(address)
        if found is not None:
            name, variable, offset = found
            return name + self._path(variable.type, offset, size)[0]
        for block in reversed(self.heap):
            if block.address <= address < block.address + max(block.size, 1):
                offset = address - block.address
                return f"{block.name}+{offset}" if offset else block.name
        for region, (start, end, stride) in self.regions.items():
            if start <= address < end and region == TEXT:
                return self.addresses.code(TEXT_BASE + address - start)
            if start <= address < end:
                number, inside = divmod(address - start, stride)
                return f"{region} {number}+{inside:#x}" if stride < end - start else (
                    f"{region}+{inside:#x}"
                )
        place = address - STACKS_BASE
        if 0 <= place < STACKS * STACK_SIZE:
            return f"stack of CPU {place // STACK_SIZE}, {STACK_SIZE - place % STACK_SIZE} from top"
        return self.addresses.data(address)

    def is_text(self, address: int) -> bool:
        """Tell whether `address` is where text is written."""
        start, end, _ = self.regions.get(TEXT, (0, 0, 0))
        return start <= address < end

    def allocated(self, address: int, size: int) -> None:
        """Give a name to a block that the program has just allocated."""
        count = len(self.heap) + 1
        self.heap.append(HeapObject(address, size, f"object {count}"))

    def value(self, address: int, size: int, value: int) -> str:
        """Return a value as the type of the datum at `address` shows it."""
        if self.is_text(address):
            return value.to_bytes(8, "little")[: size or 1].hex(" ")
        found = self.variable(address)
        code = self._path(found[1].type, found[2], size)[1] if found else ""
        if code.startswith("<i") and size and value >> (8 * size - 1):
            return str(value - (1 << 8 * size))
        if value < SMALL:
            return str(value)
        pointed = self.pointed(value) if size == 8 else None
        if pointed:
            return pointed
        return str(value) if value < DECIMAL else f"{value:#x}"

    def pointed(self, value: int) -> str | None:
        """Return what `value` points to, None if it is no pointer that has a name."""
        if self.variable(value):
            return f"&{self.name(value)}"
        if any(start <= value < end for start, end, _ in self.regions.values()):
            return self.name(value)
        for block in reversed(self.heap):
            if block.address <= value < block.address + max(block.size, 1):
                return f"&{self.name(value)}"
        places = self.addresses.places(value)
        if places and places[-1].line and places[-1].function:
            return f"{places[-1].function}()"
        return None

    def _size(self, kind: Type) -> int:
        match kind:
            case Scalar(code):
                return int(code[2:])
            case Text(size):
                return size
            case Array(element, shape):
                total = self._size(element)
                for one in shape:
                    total *= one
                return total
            case Named(key):
                return self.layout.struct(key).size if self._known(key) else 0
        return 0

    def _known(self, key: str) -> bool:
        try:
            self.layout.struct(key)
        except KeyError:
            return False
        return True

    def _path(self, kind: Type, offset: int, size: int) -> tuple[str, str]:
        """Return the way to a part of a datum as in C, and the code of the scalar there.

        With a size of 0 the start of a struct or array is that whole.
        """
        if not size and not offset:
            return "", ""
        match kind:
            case Scalar(code):
                return (f"+{offset}" if offset else ""), code
            case Text():
                return f"[{offset}]", "u1"
            case Array(element, shape):
                return self._element(element, shape, offset, size)
            case Named(key) if self._known(key) and not key.startswith(OPAQUE):
                return self._member(key, offset, size)
        return (f"+{offset}" if offset else ""), ""

    def _element(
        self, element: Type, shape: tuple[int, ...], offset: int, size: int
    ) -> tuple[str, str]:
        one = self._size(element)
        if not one or not all(shape):
            return (f"+{offset}" if offset else ""), ""
        index, inside = divmod(offset, one)
        indexes = []
        for length in reversed(shape):
            index, rest = divmod(index, length)
            indexes.append(rest)
        path, code = self._path(element, inside, size)
        return "".join(f"[{one}]" for one in reversed(indexes)) + path, code

    def _member(self, key: str, offset: int, size: int) -> tuple[str, str]:
        inside = [
            member for member in self.layout.struct(key).members
            if member.offset <= offset < member.offset + max(self._size(member.type), 1)
        ]  # fmt: skip
        if not inside:
            return (f"+{offset}" if offset else ""), ""
        # Of a union, the member that is as large as the access.
        fitting = [member for member in inside if self._size(member.type) == size]
        member = (fitting or inside)[0]
        path, code = self._path(member.type, offset - member.offset, size)
        return f".{member.name}{path}", code
