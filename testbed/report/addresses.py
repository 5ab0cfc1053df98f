"""Addresses as people read them: a function with file and line, a global, a place in the text."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from testbed.findings import OUTSIDE, Place

if TYPE_CHECKING:
    from testbed.arena import TextImage

ARENA_BASE = 0x1000_0000_0000
TEXT_BASE = 0x1100_0000_0000
TEXT_END = 0x1200_0000_0000


class Symbols(Protocol):
    """What is known of the core's own addresses: its symbol table and line table."""

    def places(self, address: int) -> Sequence[Place]:
        """Return the frames at the instruction at `address`, inlined ones first; () if unknown."""

    def data_name(self, address: int) -> str | None:
        """Return the global that holds `address`, with ``+0xoffset`` inside of it, else None."""


@dataclass(frozen=True)
class TextSpan:
    """A function of the text under test; `size` in bytes, `module` is where it comes from."""

    address: int
    size: int
    name: str
    module: str


def text_spans(image: "TextImage") -> list[TextSpan]:
    """Return the functions of an image, and its trampolines and instruction slots as one each."""
    spans = [
        TextSpan(function.addr, function.size, function.name, image.modules[function.module].name)
        for function in image.functions
    ]
    for name, offset, size in (
        ("trampolines", image.trampolines_offset, image.trampolines_size),
        ("slots", image.slots_offset, image.slots_size),
    ):
        if size:
            spans.append(TextSpan(TEXT_BASE + offset, size, name, name))
    return spans


class Addresses:
    """Names for the addresses of one machine.

    Args:
        symbols: of the core that ran.
        functions: of the text under test. Instruction slots may be among them, as one function.
    """

    def __init__(self, symbols: Symbols, functions: Iterable[TextSpan] = ()) -> None:
        self._symbols = symbols
        self._functions = sorted(functions, key=lambda function: function.address)
        self._starts = [function.address for function in self._functions]
        self._cache: dict[int, tuple[Place, ...]] = {}

    def places(self, address: int) -> tuple[Place, ...]:
        """Return the frames at the instruction at `address`, innermost first; never empty."""
        if address not in self._cache:
            self._cache[address] = self._find(address)
        return self._cache[address]

    def stack(self, addresses: Iterable[int], first_is_exact: bool = False) -> tuple[Place, ...]:
        """Return the frames of a 0-terminated stack of return addresses, innermost first.

        A return address names the instruction behind the call, which may already belong to the
        next line, or even function: so one byte before it is looked up.
        """
        frames: list[Place] = []
        for position, address in enumerate(addresses):
            if not address:
                break
            exact = (position == 0 and first_is_exact) or is_text(address)
            frames.extend(self.places(address if exact else address - 1))
        return tuple(frames)

    def code(self, address: int) -> str:
        """Return the name of the function at `address`."""
        if not address:
            return "nothing"
        return self.places(address)[-1].name()

    def data(self, address: int) -> str:
        """Return the name of a datum: a global, or where it lies in the arena."""
        if not address:
            return "0"
        if is_text(address):
            return self.code(address)
        name = self._symbols.data_name(address)
        if name:
            return name
        if ARENA_BASE <= address < TEXT_BASE:
            return f"arena+{address - ARENA_BASE:#x}"
        return f"{address:#x}"

    def _find(self, address: int) -> tuple[Place, ...]:
        if is_text(address):
            return (self._text_place(address),)
        found = tuple(self._symbols.places(address))
        return found or (Place(f"{address:#x}", OUTSIDE, 0, address),)

    def _text_place(self, address: int) -> Place:
        position = bisect_right(self._starts, address) - 1
        if position >= 0:
            function = self._functions[position]
            offset = address - function.address
            if offset < max(function.size, 1):
                return Place(f"{function.name}+{offset:#x}", function.module, 0, address)
        return Place(f"text+{address - TEXT_BASE:#x}", "text", 0, address)


def is_text(address: int) -> bool:
    """Tell whether `address` lies in the text under test, as it runs."""
    return TEXT_BASE <= address < TEXT_END
