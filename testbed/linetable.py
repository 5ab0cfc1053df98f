"""The lines that the addresses of one compiled file of a core come from, inlined calls included.

Read from the core's DWARF when the first address of a file is looked up: a report touches few of a
core's files. `testbed.symbols` keeps the result beside the file's object, for all cores that it is
linked into.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from testbed.dwarf import unit_file

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo

ROW = np.dtype([("address", "<u8"), ("file", "<u4"), ("line", "<u4")])
INLINED = np.dtype(
    [("low", "<u8"), ("high", "<u8"), ("depth", "<u4"), ("name", "<u4"), ("file", "<u4"),
     ("line", "<u4")]
)  # fmt: skip


class LineTable(msgspec.Struct):
    """What the lines of one unit of a core are; the arrays are kept as bytes.

    Attributes:
        names: file and function names that the arrays refer to by index.
        rows: of `ROW`, by address: the line from there on; line 0 = unknown from there on.
        inlined: of `INLINED`: a call that was inlined covers [low, high); name is the function
            called, file and line are where it is called, and depth grows inwards from 1.
        spans: start and size of the code, by address.
    """

    names: list[str]
    rows: bytes
    inlined: bytes
    spans: tuple[tuple[int, int], ...]

    def moved(self, spans: tuple[tuple[int, int], ...]) -> LineTable | None:
        """Return it for a core that has the code in other places; None if that is other code."""
        if spans == self.spans:
            return self
        if [size for _, size in spans] != [size for _, size in self.spans]:
            return None
        starts = np.array([start for start, _ in self.spans], np.uint64)
        ends = starts + np.array([size for _, size in spans], np.uint64)
        shifts = np.array([start for start, _ in spans], np.uint64) - starts  # Modulo 2**64.

        def shift(records: NDArray[Any], name: str, *more: str) -> NDArray[Any]:
            span = np.searchsorted(starts, records[name], side="right") - 1
            inside = (span >= 0) & (records[name] <= ends[span])
            records, span = records[inside].copy(), span[inside]
            for field in (name, *more):
                records[field] += shifts[span]
            return records

        rows = shift(np.frombuffer(self.rows, ROW), "address")
        inlined = shift(np.frombuffer(self.inlined, INLINED), "low", "high")
        return LineTable(self.names, rows.tobytes(), inlined.tobytes(), spans)


class LineTables:
    """The line tables of the executable at `path`, one for each compiled file."""

    def __init__(self, path: Path) -> None:
        from elftools.elf.elffile import ELFFile

        # Kept, since units are read as they are asked for; there is no file to be closed.
        self._file = BytesIO(path.read_bytes())
        self._dwarf = ELFFile(self._file).get_dwarf_info()
        self._ranges: Any = self._dwarf.get_aranges()

    def unit_at(self, address: int) -> int | None:
        """Return which unit the code at `address` belongs to, None if it is of no known file."""
        found = self._ranges.cu_offset_at_addr(address) if self._ranges else None
        return None if found is None else int(found)

    def file_of(self, unit: int) -> str:
        """Return the name of the C file that a unit is."""
        return unit_file(self._dwarf.get_CU_at(unit))

    def spans_of(self, unit: int) -> tuple[tuple[int, int], ...]:
        """Return start and size of a unit's code, by address."""
        found = [one for one in self._ranges.entries if one.info_offset == unit and one.length]
        return tuple(sorted((int(one.begin_addr), int(one.length)) for one in found))

    def read(self, unit: int) -> LineTable:
        """Read one unit."""
        return _Reader(self._dwarf).read(self._dwarf.get_CU_at(unit), self.spans_of(unit))


class _Reader:
    def __init__(self, dwarf: DWARFInfo) -> None:
        self._dwarf = dwarf
        self._ranges: Any = dwarf.range_lists()
        self._index: dict[str, int] = {"": 0}
        self._rows: list[tuple[int, int, int]] = []
        self._inlined: list[tuple[int, int, int, int, int, int]] = []

    def read(self, unit: CompileUnit, spans: tuple[tuple[int, int], ...]) -> LineTable:
        files = self._read_rows(unit)
        base = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
        self._walk(unit.get_top_DIE(), 0, files, base.value if base else 0)
        # Where one sequence ends and another begins, the beginning counts.
        rows = sorted(self._rows, key=lambda row: (row[0], row[2] != 0))
        return LineTable(
            list(self._index),
            np.array(rows, dtype=ROW).tobytes(),
            np.array(self._inlined, dtype=INLINED).tobytes(),
            spans,
        )

    def _number(self, name: str) -> int:
        return self._index.setdefault(name, len(self._index))

    def _read_rows(self, unit: CompileUnit) -> list[int]:
        """Collect the rows of a unit; return the numbers of its file names."""
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return []
        header = program.header
        folders = [_text(folder) for folder in header["include_directory"]]
        first = 0 if header["version"] >= 5 else 1
        names = [] if first == 0 else [""]
        for entry in header["file_entry"]:
            # Before DWARF 5 folder 0 is the one compiled in, which is the project's.
            folder = entry["dir_index"] - first
            inside = folders[folder] if folder >= 0 else ""
            names.append(os.path.normpath(os.path.join(inside, _text(entry["name"]))))
        files = [self._number(name) for name in names]
        for line in program.get_entries():
            state = line.state
            if state is not None:
                row = (state.address, files[state.file], 0 if state.end_sequence else state.line)
                self._rows.append(row)
        return files

    def _walk(self, die: DIE, depth: int, files: list[int], base: int) -> None:
        for child in die.iter_children():
            inner = depth
            if child.tag == "DW_TAG_inlined_subroutine":
                inner += 1
                self._add_inlined(child, inner, files, base)
            if child.has_children and child.tag in WITH_CODE:
                self._walk(child, inner, files, base)

    def _add_inlined(self, die: DIE, depth: int, files: list[int], base: int) -> None:
        name = self._number(_function_name(die))
        place = files[_value(die, "DW_AT_call_file")], _value(die, "DW_AT_call_line")
        for low, high in self._code(die, base):
            self._inlined.append((low, high, depth, name, *place))

    def _code(self, die: DIE, base: int) -> Iterator[tuple[int, int]]:
        if "DW_AT_low_pc" in die.attributes and "DW_AT_high_pc" in die.attributes:
            low, high = die.attributes["DW_AT_low_pc"].value, die.attributes["DW_AT_high_pc"]
            yield low, high.value if high.form == "DW_FORM_addr" else low + high.value
        elif "DW_AT_ranges" in die.attributes and self._ranges is not None:
            offset = die.attributes["DW_AT_ranges"].value
            for entry in self._ranges.get_range_list_at_offset(offset, cu=die.cu):
                if hasattr(entry, "base_address"):
                    base = entry.base_address
                elif entry.is_absolute:
                    yield entry.begin_offset, entry.end_offset
                else:
                    yield base + entry.begin_offset, base + entry.end_offset


WITH_CODE = (
    "DW_TAG_subprogram",
    "DW_TAG_inlined_subroutine",
    "DW_TAG_lexical_block",
)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _value(die: DIE, name: str) -> int:
    attribute = die.attributes.get(name)
    return int(attribute.value) if attribute else 0


def _function_name(die: DIE) -> str:
    for link in ("DW_AT_abstract_origin", "DW_AT_specification"):
        if link in die.attributes:
            return _function_name(die.get_DIE_from_attribute(link))
    attribute = die.attributes.get("DW_AT_name")
    return _text(attribute.value) if attribute else ""
