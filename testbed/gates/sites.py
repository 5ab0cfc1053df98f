"""The places of a core where explored code tells of an access: calls of hooks.

The virtual and the gated core are built of the same sources with the same hooks, but lie at other
addresses. A place of one is found in the other by the hook that it calls, by function, file and
line, and by the functions that it was inlined into.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from testbed.cache import Core
from testbed.layout import Layout
from testbed.symbols import Symbols

# Calls of the machine by mechanisms that are places as well.
CALLS = (
    "machine_relax_while", "machine_wait_clear", "machine_count_down", "machine_spin_while",
    "machine_idle", "machine_raise_irq", "machine_take_irqs",
)  # fmt: skip
HOOK = "__tsan_"
WRAPPED = "__wrap_"

# On x86, E8 and a 32-bit distance: the call that compilers make of a function of the same core.
CALL = 0xE8
CALL_SIZE = 5


@dataclass(frozen=True)
class Site:
    """A place that calls a hook.

    Attributes:
        hook: that it calls.
        function: symbol that holds it.
        places: function, file and line, innermost first; all but the last were inlined.
    """

    hook: str
    function: str
    places: tuple[tuple[str, str, int], ...]

    def __str__(self) -> str:
        function, file, line = self.places[0]
        return f"{function}() {file}:{line}"


class Sites:
    """The calls of hooks in a core, by their return addresses."""

    def __init__(self, core: Core) -> None:
        layout = Layout.of(core)
        self._symbols = Symbols.of(core)
        hooks = {}
        functions = []
        for name, symbol in layout.all_symbols():
            if not symbol.function:
                continue
            functions.append((symbol.address, name.split(".")[0]))
            hook = name.removeprefix(WRAPPED)
            if name.startswith(HOOK) or hook in CALLS:
                hooks[symbol.address] = hook
        # A wrapped function is reached through its wrapper alone.
        wrapped = {hook for name, _ in layout.all_symbols() if name.startswith(WRAPPED)
                   for hook in [name.removeprefix(WRAPPED)]}  # fmt: skip
        self._hooks = {
            address: name for address, name in hooks.items()
            if name not in wrapped or self._is_wrapper(layout, name, address)
        }
        functions.sort()
        self._starts = [address for address, _ in functions]
        self._functions = [name for _, name in functions]
        self._calls = dict(self._find(core))
        self._by_function: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._by_hook: dict[str, list[int]] = defaultdict(list)
        for address, hook in sorted(self._calls.items()):
            self._by_function[hook, self._function(address)].append(address)
            self._by_hook[hook].append(address)
        self._known: dict[int, Site] = {}

    @staticmethod
    def _is_wrapper(layout: Layout, name: str, address: int) -> bool:
        return layout.symbol(f"{WRAPPED}{name}").address == address

    def _find(self, core: Core) -> list[tuple[int, str]]:
        """Return the return address and the hook of every call."""
        from elftools.elf.constants import SH_FLAGS
        from elftools.elf.elffile import ELFFile

        found = []
        with core.path.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR:
                    found += self._calls_in(section.data(), int(section["sh_addr"]))
        return found

    def _calls_in(self, data: bytes, start: int) -> list[tuple[int, str]]:
        found = []
        code = np.frombuffer(data, np.uint8)
        places = np.flatnonzero(code[: -CALL_SIZE + 1] == CALL)
        for place in places.tolist():
            distance = int.from_bytes(data[place + 1 : place + CALL_SIZE], "little", signed=True)
            behind = start + place + CALL_SIZE
            hook = self._hooks.get(behind + distance)
            if hook is not None:
                found.append((behind, hook))
        return found

    def _function(self, address: int) -> str:
        position = bisect_right(self._starts, address - 1) - 1
        return self._functions[position] if position >= 0 else ""

    def at(self, address: int) -> Site | None:
        """Return the place of a hook's return address; None if it is no call of one."""
        hook = self._calls.get(address)
        if hook is None:
            return None
        if address not in self._known:
            frames = self._symbols.places(address - 1)
            places = tuple((one.function, one.file, one.line) for one in frames)
            self._known[address] = Site(hook, self._function(address), places)
        return self._known[address]

    def addresses(self) -> list[int]:
        """Return the return address of every call, in order."""
        return sorted(self._calls)

    def calls(self, hook: str) -> list[int]:
        """Return the return addresses of all calls of one hook."""
        return list(self._by_hook[hook])

    def find(self, site: Site) -> list[int]:
        """Return the return addresses here that are the same place as one of another core.

        Several, if the compiler has copied it or the line has several such accesses; all copies of
        an inlined function if it was inlined into other functions there.
        """
        there = self._by_function[site.hook, site.function]
        same = [address for address in there if self._site(address).places == site.places]
        if same:
            return same
        return [
            address for address in self._by_hook[site.hook]
            if self._site(address).places[:1] == site.places[:1]
        ]

    def _site(self, address: int) -> Site:
        site = self.at(address)
        assert site is not None, "it was found as a call"
        return site
