"""What is at an address of a core: function, file and line, with inlined calls, or a global."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.beside import keep_beside, load_beside
from testbed.cache import Core
from testbed.debug_info import Symbol
from testbed.findings import Place
from testbed.layout import Layout
from testbed.linetable import INLINED, ROW, LineTable, LineTables

# Raised when what is kept beside an object or a core, or its meaning, changes.
FORMAT = 3

# What the builder calls a user's function, and what the user calls it.
RENAMED = {"explored_main": "main"}


class Symbols:
    """Places of one core. Reading the line table is put off until the first address of code."""

    def __init__(self, core: Core) -> None:
        self._lines = _lines_of(core)
        symbols = Layout.of(core).all_symbols()
        self._functions = _Spans((name, s) for name, s in symbols if s.function)
        self._data = _Spans((name, s) for name, s in symbols if not s.function)

    @classmethod
    def of(cls, core: Core) -> Symbols:
        """Return the symbols of `core`."""
        return cls(core)

    def places(self, address: int) -> tuple[Place, ...]:
        """Return the frames at the instruction at `address`, innermost first; () if unknown.

        All but the last were inlined into the next one. To look a return address up, pass the
        address before it.
        """
        name = self._functions.name_at(address)
        if name is None:
            return ()
        # The compiler numbers its copies: foo.isra.0, foo.cold.
        stem = name.split(".")[0]
        stem = RENAMED.get(stem, stem)
        lines = self._lines.at(address)
        if lines is None:
            return (Place(stem, "", 0, address),)
        file, line = lines.row(address)
        places = []
        for inlined in lines.inlined(address):
            places.append(Place(lines.names[inlined["name"]], file, line, address))
            file, line = lines.names[inlined["file"]], int(inlined["line"])
        return (*places, Place(stem, file, line, address))

    def data_name(self, address: int) -> str | None:
        """Return the global that holds `address`, with ``+0xoffset`` inside of it, else None."""
        return self._data.offset_name(address)

    def function_name(self, address: int) -> str | None:
        """Return the function that holds `address`, with ``+0xoffset`` inside of it, else None."""
        return self._functions.offset_name(address)


class _Spans:
    """Named address ranges that do not overlap."""

    def __init__(self, symbols: Iterable[tuple[str, Symbol]]) -> None:
        spans = sorted((s.address, s.size, name) for name, s in symbols)
        self._starts = [start for start, _, _ in spans]
        self._spans = spans

    def at(self, address: int) -> tuple[int, int, str] | None:
        position = bisect_right(self._starts, address) - 1
        if position < 0:
            return None
        start, size, _ = self._spans[position]
        return self._spans[position] if address < start + max(size, 1) else None

    def name_at(self, address: int) -> str | None:
        span = self.at(address)
        return span[2] if span else None

    def offset_name(self, address: int) -> str | None:
        span = self.at(address)
        if span is None:
            return None
        return f"{span[2]}+{address - span[0]:#x}" if address > span[0] else span[2]


class _Lines:
    def __init__(self, table: LineTable) -> None:
        self.names = table.names
        self._rows: NDArray[Any] = np.frombuffer(table.rows, ROW)
        self._inlined: NDArray[Any] = np.frombuffer(table.inlined, INLINED)
        self._addresses = self._rows["address"].copy()

    def row(self, address: int) -> tuple[str, int]:
        """Return file and line of the instruction at `address`; ("", 0) if not known."""
        position = int(np.searchsorted(self._addresses, np.uint64(address), side="right")) - 1
        if position < 0 or not self._rows["line"][position]:
            return "", 0
        row = self._rows[position]
        return self.names[row["file"]], int(row["line"])

    def inlined(self, address: int) -> NDArray[Any]:
        """Return the inlined calls that cover `address`, innermost first."""
        where = np.uint64(address)
        found = self._inlined[(self._inlined["low"] <= where) & (where < self._inlined["high"])]
        innermost_first = np.argsort(-found["depth"].astype(np.int64), kind="stable")
        ordered: NDArray[Any] = found[innermost_first]
        return ordered


class _CoreLines:
    """The line tables of a core's files, each read when its first address is looked up."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._objects = dict(core.objects)
        self._units: dict[int, _Lines] = {}

    @cached_property
    def _tables(self) -> LineTables:
        return LineTables(self._core.path)

    def at(self, address: int) -> _Lines | None:
        """Return the lines of the file that the code at `address` is of; None if not known."""
        unit = self._tables.unit_at(address)
        if unit is None:
            return None
        if unit not in self._units:
            self._units[unit] = _Lines(self._table(unit))
        return self._units[unit]

    def _table(self, unit: int) -> LineTable:
        compiled = self._objects.get(self._tables.file_of(unit))
        beside = compiled or self._core.path.parent / f"{unit:x}"
        path = beside.with_suffix(f".lines-{FORMAT}")
        kept = load_beside(path, LineTable)
        table = kept.moved(self._tables.spans_of(unit)) if kept else None
        if table is None:
            table = self._tables.read(unit)
            keep_beside(path, table)
        return table


@lru_cache(maxsize=8)
def _lines_of(core: Core) -> _CoreLines:
    return _CoreLines(core)
