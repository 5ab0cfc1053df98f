"""What the debug information of a core says of its types and globals, as plain values.

pyelftools takes a moment for a core, so `testbed.layout` keeps the result beside the core.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.elf.elffile import ELFFile


class Scalar(msgspec.Struct, frozen=True, tag=True):
    """A number or a pointer; `code` is numpy's: ``<u4``, ``<i8``."""

    code: str


class Text(msgspec.Struct, frozen=True, tag=True):
    """An array of `size` characters."""

    size: int


class Array(msgspec.Struct, frozen=True, tag=True):
    """An array; a dimension of unknown length is 0."""

    element: Type
    shape: tuple[int, ...]


class Named(msgspec.Struct, frozen=True, tag=True):
    """A struct or union by its key in `DebugInfo.structs`."""

    key: str


class Opaque(msgspec.Struct, frozen=True, tag=True):
    """Something that has no place in shared memory: a function, an incomplete type."""


Type = Scalar | Text | Array | Named | Opaque


class Member(msgspec.Struct, frozen=True):
    """A field; `offset` in bytes. The fields of an unnamed member count as the struct's own."""

    name: str
    offset: int
    type: Type


class StructType(msgspec.Struct, frozen=True):
    """A struct or union; `size` in bytes. Bit-fields are left out: the layout has none."""

    size: int
    members: tuple[Member, ...]


class Variable(msgspec.Struct, frozen=True):
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


class Symbol(msgspec.Struct, frozen=True):
    """A function or datum of the symbol table; `size` in bytes."""

    address: int
    size: int
    function: bool
    external: bool


class DebugInfo(msgspec.Struct):
    """All that is read of a core.

    Attributes:
        structs: by ``struct x``, ``union x``, the typedef of an unnamed one, or a made-up name;
            ``struct x in file`` if another one of that name came first.
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


def read_debug_info(path: Path) -> DebugInfo:
    """Read the executable at `path`."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        elf = ELFFile(file)
        reader = _Reader()
        for unit in elf.get_dwarf_info().iter_CUs():
            if not _name(unit.get_top_DIE()).startswith(UNSHARED):
                reader.read_unit(unit)
        info = reader.info
        info.symbols = _read_symbols(elf)
        info.globals_start, info.globals_end = _read_globals(elf)
    return info


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


def _read_symbols(elf: ELFFile) -> dict[str, list[Symbol]]:
    found: dict[str, list[Symbol]] = {}
    table: Any = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols():
        kind, bind = symbol["st_info"]["type"], symbol["st_info"]["bind"]
        if kind in ("STT_FUNC", "STT_OBJECT") and symbol["st_shndx"] != "SHN_UNDEF":
            entry = Symbol(
                symbol["st_value"], symbol["st_size"], kind == "STT_FUNC", bind != "STB_LOCAL"
            )
            found.setdefault(symbol.name, []).append(entry)
    return found


SCALAR_KINDS = {
    "DW_ATE_unsigned": "u",
    "DW_ATE_unsigned_char": "u",
    "DW_ATE_signed": "i",
    "DW_ATE_signed_char": "i",
    "DW_ATE_boolean": "u",
    "DW_ATE_float": "f",
    "DW_ATE_UTF": "u",
}

TRANSPARENT = (
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_atomic_type",
    "DW_TAG_restrict_type",
)

STRUCT_WORDS: dict[Any, str] = {
    "DW_TAG_structure_type": "struct",
    "DW_TAG_union_type": "union",
}


class _Reader:
    """Collects the definitions of one unit after the other; the first of a name counts."""

    def __init__(self) -> None:
        self.info = DebugInfo({}, {}, {}, {})
        self._seen: dict[int, Type] = {}
        self._defined: dict[str, tuple[int, int]] = {}
        self._file = ""

    def read_unit(self, unit: CompileUnit) -> None:
        top = unit.get_top_DIE()
        self._file = _name(top)
        for die in top.iter_children():
            if die.tag in STRUCT_WORDS and "DW_AT_name" in die.attributes:
                self._type(die)
            elif die.tag == "DW_TAG_typedef":
                self._typedef(die)
            elif die.tag == "DW_TAG_enumeration_type":
                self._enum(die)
            elif die.tag == "DW_TAG_variable":
                self._variable(die)

    def _typedef(self, die: DIE) -> None:
        """Make an unnamed struct known by its typedef."""
        if "DW_AT_type" not in die.attributes:
            return
        target = die.get_DIE_from_attribute("DW_AT_type")
        if target.tag in STRUCT_WORDS and "DW_AT_name" not in target.attributes:
            self._seen.setdefault(target.offset, Named(_name(die)))
            self._struct(target, _name(die))

    def _enum(self, die: DIE) -> None:
        values = {
            _name(child): int(child.attributes["DW_AT_const_value"].value)
            for child in die.iter_children()
            if child.tag == "DW_TAG_enumerator"
        }
        self.info.enums.setdefault(_name(die) or f"<{die.offset:#x}>", values)

    def _variable(self, die: DIE) -> None:
        declared = die
        if "DW_AT_specification" in die.attributes:
            declared = die.get_DIE_from_attribute("DW_AT_specification")
        address = _static_address(die)
        if address is None or "DW_AT_type" not in declared.attributes:
            return
        kind = self._type(declared.get_DIE_from_attribute("DW_AT_type"))
        variable = Variable(address, kind, self._file, "DW_AT_external" in declared.attributes)
        self.info.variables.setdefault(_name(declared), []).append(variable)

    def _type(self, die: DIE) -> Type:
        if die.offset not in self._seen:
            self._seen[die.offset] = self._read_type(die)
        return self._seen[die.offset]

    def _read_type(self, die: DIE) -> Type:
        if die.tag in TRANSPARENT:
            return self._target(die)
        if die.tag in STRUCT_WORDS:
            key = self._key(die)
            self._seen[die.offset] = Named(key)
            self._struct(die, key)
            return Named(key)
        if die.tag == "DW_TAG_array_type":
            return self._array(die)
        if die.tag == "DW_TAG_pointer_type":
            return Scalar("<u8")
        if die.tag == "DW_TAG_enumeration_type":
            return Scalar(f"<u{_size(die)}")
        if die.tag == "DW_TAG_base_type":
            return self._scalar(die)
        return Opaque()

    def _target(self, die: DIE) -> Type:
        if "DW_AT_type" not in die.attributes:
            return Opaque()
        return self._type(die.get_DIE_from_attribute("DW_AT_type"))

    def _scalar(self, die: DIE) -> Type:
        kind = SCALAR_KINDS.get(_encoding(die))
        if kind is None or _size(die) > 8:
            return Array(Scalar("u1"), (_size(die),))
        return Scalar(f"<{kind}{_size(die)}")

    def _array(self, die: DIE) -> Type:
        shape = tuple(
            _length(child) for child in die.iter_children() if child.tag == "DW_TAG_subrange_type"
        )
        element = die.get_DIE_from_attribute("DW_AT_type")
        if _name(element) == "char" and len(shape) == 1 and shape[0]:
            return Text(shape[0])
        return Array(self._type(element), shape)

    def _key(self, die: DIE) -> str:
        """Name a struct; one of the same name that is not the same type gets its file's too."""
        key = f"{STRUCT_WORDS[die.tag]} {_name(die) or f'<{die.offset:#x}>'}"
        if "DW_AT_declaration" in die.attributes:
            return key
        definition = (_size(die), int(die.attributes["DW_AT_decl_line"].value))
        if self._defined.setdefault(key, definition) == definition:
            return key
        return f"{key} in {self._file}"

    def _struct(self, die: DIE, key: str) -> None:
        if "DW_AT_declaration" in die.attributes or key in self.info.structs:
            return
        members: list[Member] = []
        for child in die.iter_children():
            if child.tag != "DW_TAG_member" or "DW_AT_bit_size" in child.attributes:
                continue
            location = child.attributes.get("DW_AT_data_member_location")
            offset = int(location.value) if location else 0
            kind = self._target(child)
            if _name(child):
                members.append(Member(_name(child), offset, kind))
            elif isinstance(kind, Named):
                members += [
                    msgspec.structs.replace(inner, offset=offset + inner.offset)
                    for inner in self.info.structs[kind.key].members
                ]
        self.info.structs[key] = StructType(_size(die), tuple(members))


def _name(die: DIE) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode() if attribute else ""


def _size(die: DIE) -> int:
    return int(die.attributes["DW_AT_byte_size"].value)


def _length(die: DIE) -> int:
    if "DW_AT_count" in die.attributes:
        return int(die.attributes["DW_AT_count"].value)
    bound: Any = die.attributes.get("DW_AT_upper_bound")
    # A bound that is an expression belongs to an array of variable length.
    return bound.value + 1 if bound and isinstance(bound.value, int) else 0


def _encoding(die: DIE) -> str:
    from elftools.dwarf import constants

    value = die.attributes["DW_AT_encoding"].value
    return next((name for name in SCALAR_KINDS if getattr(constants, name) == value), "")


DW_OP_ADDR = 0x03


def _static_address(die: DIE) -> int | None:
    location = die.attributes.get("DW_AT_location")
    if location is None or not isinstance(location.value, list) or len(location.value) != 9:
        return None
    operation, *address = location.value
    return int.from_bytes(bytes(address), "little") if operation == DW_OP_ADDR else None
