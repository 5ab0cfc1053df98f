"""The text region of a machine: assembled functions, a real library, and instruction slots.

Its parts, in order: assembled functions (RX), their constants (R), those of a module that can be
unloaded (RX), the library as its segments are, room for trampolines (RX), slots (RX).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from testbed.text.bodies_module import LOADABLE
from testbed.text.bodies_trace import family
from testbed.text.decode import Decoded
from testbed.text.definition import Definition
from testbed.text.elf import Library, Symbol, read_library
from testbed.text.functions import DEFINITIONS, Assembled, assemble, missing_import, stub_name
from testbed.text.image_cache import decode_cached
from testbed.text.model import (
    INT3,
    NAME_SIZE,
    PAGE,
    TEXT_BASE,
    FunctionFlag,
    InsnFlag,
    PatchSite,
    Protection,
    Range,
    Segment,
    TextFunction,
    TextModule,
    align,
)  # fmt: skip
from testbed.text.once import once_offsets
from testbed.text.search import LibraryError, find_library

DEFAULT_LIBRARY = "libz.so.1"
PADDING = bytes([INT3])
IMPORT_PREFIX = "import_"
MISSING = "import_missing"


@dataclass(frozen=True)
class Image:
    """A text region as it is before anything is patched, to be put at TEXT_BASE.

    Attributes:
        text: all of it, whole pages.
        text_map: one row of `INSN` for each byte of it.
        functions: sorted by address, names unique.
        modules: parts that are loaded and unloaded as a whole; 0 is the assembled one, then the
            library if there is one, last the assembled one that scenarios unload.
        segments: what to map with which protection, sorted; what lies between is not mapped.
        trampolines_offset: where trampolines are made, bytes from TEXT_BASE.
        trampolines_size: bytes.
        slots_offset: where instruction slots are, bytes from TEXT_BASE.
        slots_size: bytes.
        sites: nops that may be patched, sorted by address; what begins in one takes no probe.
        noprobe: names of functions that are not to be probed.
        missing: imports of the library that nobody provides: calling one is a finding.
        undecoded: parts of functions that turned out not to be instructions.
        library: the file of the library, None without one.
    """

    text: bytes
    text_map: NDArray[np.void]
    functions: tuple[TextFunction, ...]
    modules: tuple[TextModule, ...]
    segments: tuple[Segment, ...]
    trampolines_offset: int
    trampolines_size: int
    slots_offset: int
    slots_size: int
    sites: tuple[PatchSite, ...]
    noprobe: tuple[str, ...]
    missing: tuple[str, ...]
    undecoded: tuple[Range, ...]
    library: Path | None

    def function(self, name: str) -> TextFunction:
        """Return the function of that name or alias.

        Raises:
            KeyError: there is none.
        """
        for one in self.functions:
            if one.name == name or name in one.aliases:
                return one
        raise KeyError(name)

    def boundaries(self, function: TextFunction) -> list[int]:
        """Return the offsets in `function` where its instructions start."""
        start = function.addr - TEXT_BASE
        lengths = self.text_map["length"][start : start + function.size]
        return [int(offset) for offset in np.flatnonzero(lengths)]


def build_image(
    *, library: str | None = DEFAULT_LIBRARY, imports: Mapping[str, int], slots_kb: int = 256,
    trampolines_kb: int = 64, traced: int = 0,
) -> Image:
    """Return a text region.

    Args:
        library: soname or path of a shared library to load; None for none.
        imports: address of each function that the core provides for libraries, as the core names
            it: ``import_malloc`` for ``malloc``. Other names are ignored. ``import_missing`` is
            what a function that is not there ends in; it is given the address of a function of
            ours that is named after it, such as ``missing:open``.
        slots_kb: room for copies of instructions, KiB.
        trampolines_kb: room for trampolines of tracers, KiB.
        traced: how many functions to add that can be traced: ``traced_0000`` and so on.

    Raises:
        LibraryError: the library is not there, or cannot be used as text.
    """
    loaded = read_library(find_library(library)) if library is not None else None
    missing = _missing(loaded, imports)
    assembled = assemble((*DEFINITIONS, *family(traced), *_stubs(missing, imports)))
    own = _own_part(assembled)
    other = _library_part(loaded, len(own.text), imports, own.functions)
    trampolines_offset = len(own.text) + len(other.text)
    trampolines_size = align(trampolines_kb * 1024, PAGE)
    slots_offset = trampolines_offset + trampolines_size
    slots_size = align(slots_kb * 1024, PAGE)

    text = own.text + other.text + bytes([INT3]) * (trampolines_size + slots_size)
    functions = (*own.functions, *other.functions)
    executable = [
        Range(one.offset, one.offset + one.size)
        for one in other.segments
        if one.protection & Protection.EXEC
    ]
    decoded = decode_cached(text, executable, functions)
    for site in assembled.sites:
        start = site.address - TEXT_BASE
        rows = decoded.text_map[start : start + len(site.old_bytes)]
        rows["flags"][rows["length"] > 0] |= np.uint8(InsnFlag.PATCHABLE)
    functions = tuple(
        _finish(function, decoded, assembled, len(other.modules)) for function in functions
    )
    return Image(
        text=text,
        text_map=decoded.text_map,
        functions=functions,
        modules=(own.modules[0], *other.modules, *own.modules[1:]),
        segments=(
            *own.segments, *other.segments,
            Segment(trampolines_offset, trampolines_size, Protection.EXEC),
            Segment(slots_offset, slots_size, Protection.EXEC),
        ),
        trampolines_offset=trampolines_offset,
        trampolines_size=trampolines_size,
        slots_offset=slots_offset,
        slots_size=slots_size,
        sites=assembled.sites,
        noprobe=tuple(one.name for one in functions if one.flags & FunctionFlag.NOPROBE),
        missing=tuple(symbol.name for symbol in missing),
        undecoded=decoded.undecoded,
        library=loaded.path if loaded else None,
    )  # fmt: skip


@cache
def assembled_image() -> Image:
    """Return the text region of a machine without a library."""
    return build_image(library=None, imports={})


@dataclass(frozen=True)
class _Part:
    text: bytes
    functions: tuple[TextFunction, ...]
    modules: tuple[TextModule, ...]
    segments: tuple[Segment, ...]


def _own_part(assembled: Assembled) -> _Part:
    text = assembled.text + assembled.constants
    return _Part(
        text + assembled.loadable,
        assembled.functions,
        (
            TextModule("core", TEXT_BASE, len(text)),
            TextModule(LOADABLE, TEXT_BASE + len(text), len(assembled.loadable.rstrip(PADDING))),
        ),
        (
            Segment(0, len(assembled.text), Protection.EXEC),
            Segment(len(assembled.text), len(assembled.constants), Protection(0)),
            Segment(len(text), len(assembled.loadable), Protection.EXEC),
        ),
    )


def _library_part(
    library: Library | None, offset: int, imports: Mapping[str, int],
    own: Sequence[TextFunction],
) -> _Part:  # fmt: skip
    if library is None:
        return _Part(b"", (), (), ())
    stubs = {function.name: function.addr for function in own}
    addresses = {
        symbol.name: imports.get(IMPORT_PREFIX + symbol.name, stubs.get(stub_name(symbol.name), 0))
        for symbol in library.imports()
    }
    return _Part(
        library.place(offset, addresses),
        tuple(_named(library, offset, set(stubs))),
        (TextModule(library.name[:NAME_SIZE], TEXT_BASE + offset, library.size),),
        library.segments(offset),
    )


def _missing(library: Library | None, imports: Mapping[str, int]) -> tuple[Symbol, ...]:
    if library is None:
        return ()
    return tuple(
        symbol
        for symbol in library.imports()
        if not symbol.weak and IMPORT_PREFIX + symbol.name not in imports
    )


def _stubs(missing: Sequence[Symbol], imports: Mapping[str, int]) -> Iterator[Definition]:
    """Return a function for each missing one; missing data stays at address 0."""
    names = [symbol.name for symbol in missing if symbol.kind != "STT_OBJECT"]
    if names and MISSING not in imports:
        raise LibraryError(f"{MISSING}: the core has to provide it, or {', '.join(names)}")
    for name in names:
        yield missing_import(name, imports[MISSING])


def _named(library: Library, offset: int, taken: set[str]) -> Iterator[TextFunction]:
    """Return the library's own functions, one for each address, sorted."""
    code = [one.pages for one in library.loadables if one.protection & Protection.EXEC]
    by_address: dict[int, list[Symbol]] = {}
    for symbol in library.symbols:
        end = symbol.value + symbol.size
        inside = any(part.start <= symbol.value < end <= part.end for part in code)
        if symbol.defined and symbol.kind == "STT_FUNC" and inside:
            by_address.setdefault(symbol.value, []).append(symbol)
    for value, symbols in sorted(by_address.items()):
        names = sorted({symbol.name for symbol in symbols}, key=lambda name: (len(name), name))
        name = names[0]
        # It may be there in several versions, be one of ours, or be long, as in C++.
        if name in taken or len(name.encode()) > NAME_SIZE:
            suffix = f"@{value:x}"
            name = name.encode()[: NAME_SIZE - len(suffix)].decode(errors="ignore") + suffix
        taken.add(name)
        yield TextFunction(
            name=name,
            addr=TEXT_BASE + offset + value - library.start,
            size=max(symbol.size for symbol in symbols),
            flags=FunctionFlag(0),
            module=1,
            aliases=tuple(one for one in names if one != name),
        )


def _finish(
    function: TextFunction, decoded: Decoded, assembled: Assembled, libraries: int
) -> TextFunction:
    """Return the function with what only decoding, and the other modules, tell."""
    if function in assembled.functions:
        once = once_offsets(function, decoded.text_map, assembled.edges)
        module = function.module + libraries if function.module else 0
        return replace(function, once=once, module=module)
    start = function.addr - TEXT_BASE
    if any(start < bad.end and bad.start < start + function.size for bad in decoded.undecoded):
        return replace(function, flags=function.flags | FunctionFlag.NOPROBE)
    return function
