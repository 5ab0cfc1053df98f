"""What the debug information of a core says of its types and globals.

pyelftools takes a second for all files of a core, which are nearly the same in each: so a file is
read once, and what it says is kept beside its object. The link of a core adds the addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from testbed.beside import keep_beside, load_beside
from testbed.cache import Core
from testbed.dwarf import Array, Member, Named, StructType, Type, UnitInfo, read_unit, unit_file
from testbed.symbol_table import (
    SHN_UNDEF,
    STB_LOCAL,
    STT_FILE,
    STT_FUNC,
    STT_OBJECT,
    read_symbols,
)

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.elf.elffile import ELFFile

# Raised when what is kept beside an object, or its meaning, changes.
FORMAT = 2


class Variable(msgspec.Struct, frozen=True, gc=False):
    """A global of the core, or a static of one file.

    Attributes:
        address: as every CPU of the machine sees it.
        type: what it is.
        file: where it is defined.
        external: False for a static.
    """

    address: int
    type: Type
    file: str
    external: bool


class Symbol(msgspec.Struct, frozen=True, gc=False):
    """A function or datum of the symbol table; `size` in bytes."""

    address: int
    size: int
    function: bool
    external: bool


class DebugInfo(msgspec.Struct):
    """All that is read of a core.

    Attributes:
        structs: by their keys in `UnitInfo`; ``struct x in file`` if another one of that name
            came first.
        enums: values by name, by the enum's name without ``enum``.
        variables: by name; a static's name may occur in several files.
        symbols: by name, likewise.
        globals_start: the first whole page of .data and .bss that stays writable.
        globals_end: the page behind the last one.
    """

    structs: dict[str, StructType]
    enums: dict[str, dict[str, int]]
    variables: dict[str, list[Variable]]
    symbols: dict[str, list[Symbol]]
    globals_start: int = 0
    globals_end: int = 0


# What an explorer has for itself: Python sees none of it but what shm_layout says.
UNSHARED = "workers/virtual/"


def read_debug_info(core: Core) -> DebugInfo:
    """Read a core and the objects that it was linked of."""
    from elftools.elf.elffile import ELFFile

    with core.path.open("rb") as file:
        elf = ELFFile(file)
        info = DebugInfo({}, {}, {}, {})
        places = _Places(elf, info.symbols)
        for name, read in _units(core, elf):
            if not name.startswith(UNSHARED):
                unit = read()
                _add(info, unit, places.of_file(unit), places.external)
        info.globals_start, info.globals_end = _read_globals(elf)
    return info


def _units(core: Core, elf: ELFFile) -> Iterator[tuple[str, Callable[[], UnitInfo]]]:
    """Return each file with what reads it, in the order of the link."""
    linked = _Linked(elf)
    if core.objects:
        for number, (name, path) in enumerate(core.objects):
            yield name, partial(_of_object, path, linked, number, name)
    else:
        for unit in linked.units:
            yield unit_file(unit), partial(read_unit, unit)


class _Linked:
    """The debug information of a core; objects have the same, but their linker's work undone."""

    def __init__(self, elf: ELFFile) -> None:
        self._elf = elf

    @cached_property
    def units(self) -> list[CompileUnit]:
        """Its files, in the order of the link."""
        return list(self._elf.get_dwarf_info().iter_CUs())

    def unit(self, number: int, name: str) -> CompileUnit | None:
        """Return a file by its name; it is the one of that number unless others have none."""
        likely = self.units[number : number + 1]
        # A name is read by parsing a table of its file: not of all files for one.
        found = (unit for unit in (*likely, *self.units) if _is_named(unit_file(unit), name))
        return next(found, None)


def _is_named(file: str, name: str) -> bool:
    """Tell whether `file` is the one; beside a patched copy the compiler has its whole path."""
    return file == name or file.endswith(f"/{name}")


def _of_object(path: Path, linked: _Linked, number: int, name: str) -> UnitInfo:
    kept = path.with_suffix(f".types-{FORMAT}")
    try:
        return _kept(kept)
    except LookupError:
        unit = linked.unit(number, name)
        info = UnitInfo(name, {}, {}, []) if unit is None else read_unit(unit)
        keep_beside(kept, info)
        return info


# The name is a hash of what is in the object, and the cores of one process have most in common.
@lru_cache(maxsize=512)
def _kept(path: Path) -> UnitInfo:
    info = load_beside(path, UnitInfo)
    if info is None:
        raise LookupError(path)
    return info


class _Places:
    """Addresses by the symbol table, whose statics follow the name of their file."""

    def __init__(self, elf: ELFFile, symbols: dict[str, list[Symbol]]) -> None:
        self.external: dict[str, int] = {}
        self._files: dict[str, list[dict[str, int]]] = {}
        file: dict[str, int] = {}
        for one in read_symbols(elf):
            if one.kind == STT_FILE:
                file = {}
                self._files.setdefault(one.name, []).append(file)
            if one.kind not in (STT_FUNC, STT_OBJECT) or one.section == SHN_UNDEF:
                continue
            entry = Symbol(one.address, one.size, one.kind == STT_FUNC, one.binding != STB_LOCAL)
            symbols.setdefault(one.name, []).append(entry)
            places = self.external if entry.external else file
            places[one.name] = one.address

    def of_file(self, unit: UnitInfo) -> Mapping[str, int]:
        """Return the statics of a file: of those with its name the one that has its variables."""
        statics = {one.name for one in unit.variables if not one.external}
        found = self._files.get(Path(unit.file).name, [])
        best = max(found, key=lambda file: len(statics & file.keys()), default={})
        if best in found:
            found.remove(best)
        return best


def _add(
    info: DebugInfo, unit: UnitInfo, statics: Mapping[str, int], external: Mapping[str, int]
) -> None:
    """Add the definitions of one file; the first of a name counts."""
    renamed: dict[str, str] = {}
    for key, struct in unit.structs.items():
        first = info.structs.setdefault(key, struct)
        # One of the same name that is not the same type gets its file's too.
        if (first.size, first.line) != (struct.size, struct.line):
            renamed[key] = f"{key} in {unit.file}"
    for key, new in renamed.items():
        info.structs[new] = unit.structs[key]
    if renamed:
        for key, struct in unit.structs.items():
            if info.structs[renamed.get(key, key)] is struct:
                members = tuple(_renamed_member(member, renamed) for member in struct.members)
                info.structs[renamed.get(key, key)] = msgspec.structs.replace(
                    struct, members=members
                )
    for name, values in unit.enums.items():
        info.enums.setdefault(name, values)
    for one in unit.variables:
        address = (external if one.external else statics).get(one.name)
        if address is not None:
            variable = Variable(address, _renamed(one.type, renamed), unit.file, one.external)
            info.variables.setdefault(one.name, []).append(variable)


def _renamed_member(member: Member, renamed: Mapping[str, str]) -> Member:
    return msgspec.structs.replace(member, type=_renamed(member.type, renamed))


def _renamed(kind: Type, renamed: Mapping[str, str]) -> Type:
    match kind:
        case Named(key) if key in renamed:
            return Named(renamed[key])
        case Array(element, shape):
            return Array(_renamed(element, renamed), shape)
    return kind


PAGE = 4096
PF_W = 2


def _read_globals(elf: ELFFile) -> tuple[int, int]:
    """Return where the writable data lies, as find_globals() of workers/real/memory.c sees it."""
    start = end = 0
    for segment in elf.iter_segments("PT_LOAD"):
        if segment["p_flags"] & PF_W:
            start = segment["p_vaddr"] // PAGE * PAGE
            end = -(-(segment["p_vaddr"] + segment["p_memsz"]) // PAGE) * PAGE
    for segment in elf.iter_segments("PT_GNU_RELRO"):
        start = -(-(segment["p_vaddr"] + segment["p_memsz"]) // PAGE) * PAGE
    return start, end
