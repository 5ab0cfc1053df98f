"""Lay out the assembled functions, encode them where they run, and say where their sites are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from iced_x86 import Code
from iced_x86.Register import RDI

from testbed.text.assembler import Assembler, At, Constant, Piece, Pointer, Reference
from testbed.text.bodies_entry import ENTRY
from testbed.text.bodies_flow import FLOW
from testbed.text.bodies_module import MODULE
from testbed.text.bodies_site import SITE
from testbed.text.bodies_state import STATE
from testbed.text.bodies_trace import TRACE
from testbed.text.definition import Definition, Patch
from testbed.text.model import (
    CACHE_LINE,
    INT3,
    NOP5,
    PAGE,
    TEXT_BASE,
    Alternative,
    FunctionFlag,
    PatchSite,
    TextFunction,
    align,
)  # fmt: skip

DEFINITIONS: tuple[Definition, ...] = (*ENTRY, *FLOW, *STATE, *SITE, *TRACE, *MODULE)

FUNCTION_ALIGNMENT = 16
CONSTANT_ALIGNMENT = 8
CALL, JUMP = b"\xe8", b"\xe9"


@dataclass(frozen=True)
class Edge:
    """A way from one instruction to another that its bytes do not show; addresses."""

    source: int
    target: int


@dataclass(frozen=True)
class Assembled:
    """The assembled part of a text region: code, constants, and the code of a module.

    Attributes:
        text: the code that stays, whole pages, to run at TEXT_BASE.
        constants: the read-only data behind it, whole pages.
        loadable: the code of the module behind that, whole pages.
        functions: sorted by address; what each runs once is not known yet.
        sites: sorted by address.
        edges: jumps by register, and what patched sites do.
    """

    text: bytes
    constants: bytes
    loadable: bytes
    functions: tuple[TextFunction, ...]
    sites: tuple[PatchSite, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class _Placed:
    definition: Definition
    start: int
    code: Assembler


def assemble(definitions: Sequence[Definition] = DEFINITIONS) -> Assembled:
    """Return `definitions` as they are to be put at TEXT_BASE, those of a module last."""
    placed = list(_place(one for one in definitions if not one.module))
    text_size = _pages(placed)
    offsets = _place_constants(placed)
    addresses = _addresses(placed)
    addresses |= {key: TEXT_BASE + text_size + offset for key, offset in offsets.items()}
    constants = _constant_bytes(offsets, addresses)

    start = text_size + len(constants)
    loadable = [
        replace(one, start=start + one.start)
        for one in _place(one for one in definitions if one.module)
    ]
    placed += loadable
    addresses |= _addresses(loadable)
    text = bytearray([INT3]) * max(_pages(loadable), start)
    for one in placed:
        _encode(text, one, addresses)
    return Assembled(
        text=bytes(text[:text_size]),
        constants=constants,
        loadable=bytes(text[start:]),
        functions=tuple(_function(one) for one in placed),
        sites=tuple(site for one in placed for site in _sites(one, addresses)),
        edges=tuple(edge for one in placed for edge in _edges(one)),
    )


def _pages(placed: Sequence[_Placed]) -> int:
    """Return where the page ends that the last of them is in, 0 without one."""
    return align(placed[-1].start + placed[-1].code.size, PAGE) if placed else 0


def _addresses(placed: Iterable[_Placed]) -> dict[Reference, int]:
    return {one.definition.name: TEXT_BASE + one.start for one in placed}


def missing_import(name: str, reporter: int) -> Definition:
    """Return the function that a library calls when it calls `name`, which nobody provides.

    Args:
        name: the symbol, as the library knows it.
        reporter: address of a C function that is jumped to with the address of this one.
    """

    def body(code: Assembler) -> None:
        code.put(Code.LEA_R64_M, RDI, At(stub_name(name)))
        code.put(Code.JMP_RM64, At(Constant.of(reporter)))

    return Definition(stub_name(name), body, None, probeable=False)


def stub_name(name: str) -> str:
    """Return the symbol of the function that stands for a missing import."""
    return f"missing:{name}"


def _place(definitions: Iterable[Definition]) -> Iterator[_Placed]:
    end = 0
    for definition in definitions:
        if definition.line_offset is None:
            start = align(end, FUNCTION_ALIGNMENT)
        else:
            start = end + (definition.line_offset - end) % CACHE_LINE
        code = Assembler(start % CACHE_LINE)
        definition.body(code)
        end = start + code.size
        yield _Placed(definition, start, code)


def _place_constants(placed: Iterable[_Placed]) -> dict[Constant | Pointer, int]:
    offsets: dict[Constant | Pointer, int] = {}
    end = 0
    for one in placed:
        for piece in one.code.pieces:
            if isinstance(piece.reference, str) or piece.reference in offsets:
                continue
            offsets[piece.reference] = end
            size = len(piece.reference.data) if isinstance(piece.reference, Constant) else 8
            end = align(end + size, CONSTANT_ALIGNMENT)
    return offsets


def _constant_bytes(
    offsets: Mapping[Constant | Pointer, int], addresses: Mapping[Reference, int]
) -> bytes:
    data = bytearray()
    for reference, offset in offsets.items():
        if isinstance(reference, Constant):
            value = reference.data
        else:
            value = addresses[reference.function].to_bytes(8, "little")
        data += bytes(offset - len(data)) + value
    return bytes(data).ljust(align(len(data), PAGE), b"\0")


def _encode(text: bytearray, one: _Placed, addresses: Mapping[Reference, int]) -> None:
    for piece in one.code.pieces:
        start = one.start + piece.offset
        target = _target(one, piece, addresses)
        data = piece.encode(TEXT_BASE + start, target)
        assert len(data) == piece.size, f"{one.definition.name}+{piece.offset:#x} changed size"
        text[start : start + piece.size] = data


def _target(one: _Placed, piece: Piece, addresses: Mapping[Reference, int]) -> int:
    if piece.instruction is None:
        return 0
    if isinstance(piece.reference, str) and piece.reference in one.code.labels:
        return TEXT_BASE + one.start + one.code.labels[piece.reference]
    return addresses[piece.reference]


def _function(one: _Placed) -> TextFunction:
    definition = one.definition
    flags = FunctionFlag(0)
    if definition.expected is not None:
        flags |= FunctionFlag.ASSEMBLED
    if not definition.probeable:
        flags |= FunctionFlag.NOPROBE
    if definition.traced:
        flags |= FunctionFlag.TRACED
    return TextFunction(
        name=definition.name,
        addr=TEXT_BASE + one.start,
        size=one.code.size,
        flags=flags,
        module=1 if definition.module else 0,
        expected=definition.expected,
        callees=definition.callees,
    )


def _sites(one: _Placed, addresses: Mapping[Reference, int]) -> Iterator[PatchSite]:
    for label, patches in one.definition.patches:
        offset, data = one.code.sites[label]
        address = TEXT_BASE + one.start + offset
        alternatives = tuple(_alternative(one, address, patch, addresses) for patch in patches)
        yield PatchSite(one.definition.name, address, data, alternatives)


def _alternative(
    one: _Placed, address: int, patch: Patch, addresses: Mapping[Reference, int]
) -> Alternative:
    if patch.call:
        target = addresses[patch.target]
    else:
        target = TEXT_BASE + one.start + one.code.labels[patch.target]
    displacement = target - (address + len(NOP5))
    data = (CALL if patch.call else JUMP) + displacement.to_bytes(4, "little", signed=True)
    return Alternative(patch.name, data, patch.expected, (patch.target,) if patch.call else ())


def _edges(one: _Placed) -> Iterator[Edge]:
    base, labels = TEXT_BASE + one.start, one.code.labels
    for offset, targets in one.code.jumps.items():
        for target in targets:
            yield Edge(base + offset, base + labels[target])
    for label, patches in one.definition.patches:
        start = base + labels[label]
        for patch in patches:
            # What a call enters comes back behind the site, whatever stood in it.
            yield Edge(start, start + len(NOP5) if patch.call else base + labels[patch.target])
