"""Read a real shared library from its file, and put it where it runs as text.

The library is not loaded into Python and its initializers do not run: its segments become part of
the text region, with the distances that they have in the file, and its imports are resolved to
addresses that the caller names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.dwarf.callframe import FDE
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_RELOC_TYPE_x64
from elftools.elf.relocation import RelrRelocationTable

from testbed.text.model import PAGE, TEXT_BASE, Protection, Range, Segment, align
from testbed.text.search import LibraryError

PF_X, PF_W = 1, 2

THREAD_LOCAL = "needs thread-local storage"
INDIRECT = "needs functions that choose themselves while it is loaded"
REFUSED = {
    "R_X86_64_DTPMOD64": THREAD_LOCAL,
    "R_X86_64_DTPOFF64": THREAD_LOCAL,
    "R_X86_64_TPOFF64": THREAD_LOCAL,
    "R_X86_64_TLSDESC": THREAD_LOCAL,
    "R_X86_64_IRELATIVE": INDIRECT,
    "R_X86_64_COPY": "needs its data copied into a program",
}
REFUSED_SYMBOLS = {"STT_TLS": THREAD_LOCAL, "STT_LOOS": INDIRECT}
RELOCATION_NAMES = {number: name for name, number in ENUM_RELOC_TYPE_x64.items()}


@dataclass(frozen=True)
class Symbol:
    """A dynamic symbol.

    Attributes:
        name: without a version.
        value: virtual address; 0 when it is not defined here.
        size: bytes.
        kind: ``STT_FUNC`` and so on.
        weak: it may stay without a definition.
        defined: it is the library's own.
    """

    name: str
    value: int
    size: int
    kind: str
    weak: bool
    defined: bool


@dataclass(frozen=True)
class Fixup:
    """A word that depends on where things are: virtual address, symbol or none, and addend."""

    address: int
    symbol: Symbol | None
    addend: int


@dataclass(frozen=True)
class Loadable:
    """A PT_LOAD segment: virtual address, content with its zeros, protection."""

    address: int
    data: bytes
    protection: Protection

    @property
    def pages(self) -> Range:
        """Its whole pages, as virtual addresses."""
        return Range(self.address & -PAGE, align(self.address + len(self.data), PAGE))


@dataclass(frozen=True)
class Library:
    """A shared library as its file describes it.

    Attributes:
        name: its soname, or the file's name.
        path: the file.
        loadables: in the order of their addresses, no two on one page.
        symbols: the dynamic symbols, and one for each function that has none.
        fixups: the words to fill in.
    """

    name: str
    path: Path
    loadables: tuple[Loadable, ...]
    symbols: tuple[Symbol, ...]
    fixups: tuple[Fixup, ...]

    @property
    def start(self) -> int:
        """The virtual address of its first page."""
        return self.loadables[0].pages.start

    @property
    def size(self) -> int:
        """Bytes from its first page to its last."""
        return self.loadables[-1].pages.end - self.start

    def imports(self) -> tuple[Symbol, ...]:
        """Return the symbols that it uses and does not define, each once, by name."""
        used = {fixup.symbol.name: fixup.symbol for fixup in self.fixups if fixup.symbol}
        return tuple(used[name] for name in sorted(used) if not used[name].defined)

    def segments(self, offset: int) -> tuple[Segment, ...]:
        """Return its segments in a region where its first page is at `offset`."""
        return tuple(
            Segment(
                offset + loadable.pages.start - self.start,
                loadable.pages.end - loadable.pages.start,
                loadable.protection,
            )
            for loadable in self.loadables
        )

    def place(self, offset: int, imports: Mapping[str, int]) -> bytes:
        """Return its bytes as they run when its first page is at `offset` of the region.

        Args:
            offset: bytes from TEXT_BASE, a whole page.
            imports: the address of every symbol that `imports()` names.
        """
        placed = bytearray(self.size)
        bias = TEXT_BASE + offset - self.start
        for loadable in self.loadables:
            start = loadable.address - self.start
            placed[start : start + len(loadable.data)] = loadable.data
        for fixup in self.fixups:
            value = fixup.addend + _symbol_address(fixup.symbol, bias, imports)
            start = fixup.address - self.start
            placed[start : start + 8] = (value % 2**64).to_bytes(8, "little")
        return bytes(placed)


def read_library(path: Path) -> Library:
    """Return what the file at `path` contains.

    Raises:
        LibraryError: it is not a shared library for x86-64, or needs what text cannot have.
    """
    try:
        with path.open("rb") as file:
            elf = ELFFile(file)
            if elf["e_type"] != "ET_DYN" or elf["e_machine"] != "EM_X86_64":
                raise LibraryError(f"{path}: is not a shared library for x86-64")
            return _read(path, elf)
    except (ELFError, OSError) as error:
        raise LibraryError(f"{path}: cannot be read as a shared library: {error}") from error


def _read(path: Path, elf: Any) -> Library:
    dynamic: Any = next((s for s in elf.iter_segments() if isinstance(s, DynamicSegment)), None)
    loadables = tuple(_loadables(path, elf))
    if dynamic is None or not loadables:
        raise LibraryError(f"{path}: has no dynamic symbols, so nothing in it could be named")
    symbols = tuple(_symbol(symbol) for symbol in dynamic.iter_symbols())
    sonames = [str(tag.soname) for tag in dynamic.iter_tags("DT_SONAME")]
    name = sonames[0] if sonames else path.name
    fixups = tuple(_fixups(name, dynamic, loadables, symbols))
    writable = [one.pages for one in loadables if one.protection & Protection.WRITE]
    for fixup in fixups:
        if not any(pages.start <= fixup.address <= pages.end - 8 for pages in writable):
            raise LibraryError(f"{name}: has addresses inside of code: build it with -fPIC")
    return Library(name, path, loadables, (*symbols, *_unnamed(name, elf, symbols)), fixups)


def _unnamed(name: str, elf: Any, symbols: tuple[Symbol, ...]) -> Iterator[Symbol]:
    """Yield a symbol for each function without one: a stripped library still tells how to unwind.

    They are named after their place, such as ``libz.so.1@5a30``.
    """
    sections = [section for section in elf.iter_sections() if section.name == ".text"]
    if not sections or elf.get_section_by_name(".eh_frame") is None:
        return
    start, size = sections[0]["sh_addr"], sections[0]["sh_size"]
    named = {symbol.value for symbol in symbols if symbol.defined}
    for entry in elf.get_dwarf_info(relocate_dwarf_sections=False).EH_CFI_entries():
        if not isinstance(entry, FDE):
            continue
        value, length = entry["initial_location"], entry["address_range"]
        if value not in named and start <= value and value + length <= start + size:
            yield Symbol(f"{name}@{value:x}", value, length, "STT_FUNC", False, True)


def _loadables(path: Path, elf: Any) -> Iterator[Loadable]:
    end = -1
    for segment in elf.iter_segments("PT_LOAD"):
        protection = Protection(0)
        if segment["p_flags"] & PF_W:
            protection |= Protection.WRITE
        if segment["p_flags"] & PF_X:
            protection |= Protection.EXEC
        if protection == Protection.WRITE | Protection.EXEC:
            raise LibraryError(f"{path}: has a segment that is writable and executable")
        data = segment.data().ljust(segment["p_memsz"], b"\0")
        one = Loadable(segment["p_vaddr"], data, protection)
        if one.pages.start < end:
            raise LibraryError(f"{path}: has two segments on one page")
        end = one.pages.end
        yield one


def _symbol(symbol: Any) -> Symbol:
    return Symbol(
        name=symbol.name,
        value=symbol["st_value"],
        size=symbol["st_size"],
        kind=symbol["st_info"]["type"],
        weak=symbol["st_info"]["bind"] == "STB_WEAK",
        defined=symbol["st_shndx"] != "SHN_UNDEF",
    )


def _fixups(
    name: str, dynamic: Any, loadables: tuple[Loadable, ...], symbols: tuple[Symbol, ...]
) -> Iterator[Fixup]:
    for table in dynamic.get_relocation_tables().values():
        packed = isinstance(table, RelrRelocationTable)
        for relocation in table.iter_relocations():
            if packed:
                address = relocation["r_offset"]
                yield Fixup(address, None, _word(loadables, address))
            else:
                yield from _fixup(name, relocation, symbols)


def _fixup(name: str, relocation: Any, symbols: tuple[Symbol, ...]) -> Iterator[Fixup]:
    kind = RELOCATION_NAMES.get(relocation["r_info_type"], str(relocation["r_info_type"]))
    addend = relocation["r_addend"] if relocation.is_RELA() else 0
    symbol = symbols[relocation["r_info_sym"]]
    if kind in REFUSED or symbol.kind in REFUSED_SYMBOLS:
        why = REFUSED.get(kind) or REFUSED_SYMBOLS[symbol.kind]
        raise LibraryError(f"{name}: {why}, which text cannot have: name another library")
    match kind:
        case "R_X86_64_NONE":
            return
        case "R_X86_64_RELATIVE":
            yield Fixup(relocation["r_offset"], None, addend)
        case "R_X86_64_64" | "R_X86_64_GLOB_DAT" | "R_X86_64_JUMP_SLOT":
            yield Fixup(relocation["r_offset"], symbol, addend)
        case _:
            raise LibraryError(f"{name}: has a relocation of a kind not known here: {kind}")


def _word(loadables: tuple[Loadable, ...], address: int) -> int:
    for one in loadables:
        start = address - one.address
        if 0 <= start <= len(one.data) - 8:
            return int.from_bytes(one.data[start : start + 8], "little")
    raise ELFError(f"a relocation of address {address:#x}, where nothing is loaded")


def _symbol_address(symbol: Symbol | None, bias: int, imports: Mapping[str, int]) -> int:
    """Return what is to be added to a fixup's addend."""
    if symbol is None:
        return bias
    if not symbol.name:
        return 0
    return bias + symbol.value if symbol.defined else imports[symbol.name]
