"""What the debug information of one C file says of its types and globals, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE


class Scalar(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A number or a pointer; `code` is numpy's: ``<u4``, ``<i8``."""

    code: str


class Text(msgspec.Struct, frozen=True, tag=True, gc=False):
    """An array of `size` characters."""

    size: int


class Array(msgspec.Struct, frozen=True, tag=True, gc=False):
    """An array; a dimension of unknown length is 0."""

    element: Type
    shape: tuple[int, ...]


class Named(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A struct or union by its key in `UnitInfo.structs`."""

    key: str


class Opaque(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Something that has no place in shared memory: a function, an incomplete type."""


Type = Scalar | Text | Array | Named | Opaque


class Member(msgspec.Struct, frozen=True, gc=False):
    """A field; `offset` in bytes. The fields of an unnamed member count as the struct's own."""

    name: str
    offset: int
    type: Type


class StructType(msgspec.Struct, frozen=True, gc=False):
    """A struct or union; `size` in bytes. Bit-fields are left out: the layout has none.

    `line` of its file is where it is defined; 0 = not known.
    """

    size: int
    members: tuple[Member, ...]
    line: int = 0


class UnitVariable(msgspec.Struct, frozen=True, gc=False):
    """A global, or a static of the file: then `external` is False."""

    name: str
    type: Type
    external: bool


class UnitInfo(msgspec.Struct):
    """All that is read of one C file.

    Attributes:
        file: its name as the compiler was given it.
        structs: by ``struct x``, ``union x``, the typedef of an unnamed one, or a made-up name.
        enums: values by name, by the enum's name without ``enum``.
        variables: those that have a place in memory.
    """

    file: str
    structs: dict[str, StructType]
    enums: dict[str, dict[str, int]]
    variables: list[UnitVariable]


def read_unit(unit: CompileUnit) -> UnitInfo:
    """Read what one C file defines and uses."""
    return _Reader(unit).read()


def unit_file(unit: CompileUnit) -> str:
    """Return the name of the C file that `unit` is."""
    return _name(unit.get_top_DIE())


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
    """Collects the definitions of a unit."""

    def __init__(self, unit: CompileUnit) -> None:
        self._unit = unit
        self.info = UnitInfo(unit_file(unit), {}, {}, [])
        self._seen: dict[int, Type] = {}

    def read(self) -> UnitInfo:
        for die in self._unit.get_top_DIE().iter_children():
            if die.tag in STRUCT_WORDS and "DW_AT_name" in die.attributes:
                self._type(die)
            elif die.tag == "DW_TAG_typedef":
                self._typedef(die)
            elif die.tag == "DW_TAG_enumeration_type":
                self._enum(die)
            elif die.tag == "DW_TAG_variable":
                self._variable(die)
        return self.info

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
        if _name(die):
            self.info.enums.setdefault(_name(die), values)

    def _variable(self, die: DIE) -> None:
        declared = die
        if "DW_AT_specification" in die.attributes:
            declared = die.get_DIE_from_attribute("DW_AT_specification")
        if not _is_static(die) or "DW_AT_type" not in declared.attributes:
            return
        kind = self._type(declared.get_DIE_from_attribute("DW_AT_type"))
        external = "DW_AT_external" in declared.attributes
        self.info.variables.append(UnitVariable(_name(declared), kind, external))

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
        """Name a struct; one without a name by its place, which a link does not change."""
        place = f"<{self.info.file}:{die.offset - self._unit.cu_offset:#x}>"
        return f"{STRUCT_WORDS[die.tag]} {_name(die) or place}"

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
        line = die.attributes.get("DW_AT_decl_line")
        self.info.structs[key] = StructType(
            _size(die), tuple(members), int(line.value) if line else 0
        )


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


# A location that is an address, and the size of that expression.
DW_OP_ADDR = 0x03
ADDRESS_SIZE = 9


def _is_static(die: DIE) -> bool:
    location = die.attributes.get("DW_AT_location")
    if location is None or not isinstance(location.value, list):
        return False
    return len(location.value) == ADDRESS_SIZE and location.value[0] == DW_OP_ADDR
