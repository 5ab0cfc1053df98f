"""The symbols of an ELF file, read quickly.

pyelftools finds the table, but its parser takes as long for one core as a whole search does.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

# Source: elf(5), Elf64_Sym and its constants.
SYMBOL = Struct("<IBBHQQ")
STT_OBJECT, STT_FUNC, STT_FILE = 1, 2, 4
STB_LOCAL, SHN_UNDEF = 0, 0


class Entry(NamedTuple):
    """A row of a symbol table; `size` in bytes."""

    name: str
    kind: int
    binding: int
    section: int
    address: int
    size: int


def read_symbols(elf: ELFFile, table: str = ".symtab") -> Iterator[Entry]:
    """Give the rows of a symbol table in their order; none if there is no such section."""
    section: Any = elf.get_section_by_name(table)
    if section is None:
        return
    names = section.stringtable.data()
    for offset, info, _, where, address, size in SYMBOL.iter_unpack(section.data()):
        name = names[offset : names.index(b"\0", offset)].decode()
        yield Entry(name, info & 0xF, info >> 4, where, address, size)
