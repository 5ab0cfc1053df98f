"""The shared memory as numpy sees it: dtypes of the core's own structs, read from its DWARF.

There is no second description of the layout: change a header, and Python follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from testbed.beside import keep_beside, load_beside
from testbed.cache import Core
from testbed.debug_info import DebugInfo, Symbol, Variable, read_debug_info
from testbed.dwarf import Array, Named, Opaque, Scalar, StructType, Text, Type
from testbed.errors import LayoutError

# Raised when what is kept beside a core, or its meaning, changes.
FORMAT = 3

# What dtype() takes beside the names of structs.
SCALARS = {f"{sign}{8 * size}": f"<{sign}{size}" for sign in "u" for size in (1, 2, 4, 8)}
SCALARS |= {f"s{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)}


class Layout:
    """Types, constants and addresses of one core."""

    def __init__(self, info: DebugInfo, name: str) -> None:
        self._info = info
        self._name = name
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._symbols: dict[str, Symbol] | None = None

    @classmethod
    def of(cls, core: Core) -> Layout:
        """Return the layout of `core`; only the first time for a core is slow."""
        return _layout_of(core)

    @property
    def globals_range(self) -> tuple[int, int]:
        """First and last + 1 address of the pages of the core's own data, shared by all CPUs."""
        return self._info.globals_start, self._info.globals_end

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype of a struct, or of a scalar such as ``u64``.

        Fields have the offsets of C, so there is padding; members of a union overlap; a pointer is
        a ``uint64``, an enum a number, ``char[n]`` is bytes of ``S<n>``.

        Args:
            name: ``struct machine``, ``union x``, the typedef of an unnamed struct, ``u32``.

        Raises:
            LayoutError: the core has no such type.
        """
        if name in SCALARS:
            return np.dtype(SCALARS[name])
        if name not in self._dtypes:
            struct = self._info.structs.get(name)
            if struct is None:
                raise LayoutError(f"{name}: the core of {self._name} has no such type")
            members = [m for m in struct.members if not isinstance(m.type, Opaque)]
            self._dtypes[name] = np.dtype(
                {
                    "names": [member.name for member in members],
                    "formats": [self.dtype_of(member.type) for member in members],
                    "offsets": [member.offset for member in members],
                    "itemsize": struct.size,
                }
            )
        return self._dtypes[name]

    def dtype_of(self, kind: Type) -> np.dtype[Any]:
        """Return the dtype of a type found in the debug information."""
        match kind:
            case Scalar(code):
                return np.dtype(code)
            case Text(size):
                return np.dtype(f"S{size}")
            case Array(element, shape):
                return np.dtype((self.dtype_of(element), shape))
            case Named(key):
                return self.dtype(key)
            case Opaque():
                raise LayoutError(f"a type without a size in the core of {self._name}")

    def sizeof(self, name: str) -> int:
        """Return the size of a struct or scalar, bytes."""
        return self.dtype(name).itemsize

    def offset(self, name: str, field: str) -> int:
        """Return where a field of a struct starts, bytes; ``field`` may be ``config.cpus``."""
        total = 0
        dtype = self.dtype(name)
        for part in field.split("."):
            if dtype.fields is None or part not in dtype.fields:
                raise LayoutError(f"{name}: has no field {field}")
            dtype, offset = dtype.fields[part][:2]
            total += offset
        return total

    def enum(self, name: str) -> dict[str, int]:
        """Return the values of ``enum name`` by their names.

        Raises:
            LayoutError: the core has no such enum.
        """
        if name not in self._info.enums:
            raise LayoutError(f"enum {name}: the core of {self._name} has no such type")
        return dict(self._info.enums[name])

    def constant(self, name: str) -> int:
        """Return the value of a macro that shm_layout/layout.c lists, such as ``ARENA_BASE``.

        Raises:
            LayoutError: it is not listed.
        """
        value = self._info.enums.get("layout_constant", {}).get(f"CONSTANT_{name}")
        if value is None:
            raise LayoutError(f"{name}: not among the constants of shm_layout/layout.c")
        return value

    def symbols(self) -> Mapping[str, Symbol]:
        """Return functions and data by name, without statics whose name occurs twice."""
        if self._symbols is None:
            found = {name: _only(entries) for name, entries in self._info.symbols.items()}
            self._symbols = {name: one for name, one in found.items() if one is not None}
        return self._symbols

    def all_symbols(self) -> list[tuple[str, Symbol]]:
        """Return every function and datum with its name, in no order."""
        return [(name, entry) for name, found in self._info.symbols.items() for entry in found]

    def symbol(self, name: str) -> Symbol:
        """Return one function or datum.

        Raises:
            LayoutError: the core has none of that name, or several statics.
        """
        entries = self._info.symbols.get(name, [])
        symbol = _only(entries)
        if symbol is None:
            why = f"has {len(entries)} statics of that name" if entries else "has no such symbol"
            raise LayoutError(f"{name}: the core of {self._name} {why}")
        return symbol

    def variable(self, name: str, file: str = "") -> Variable:
        """Return a global, or a static of `file` (as in ``workers/kernel/rcu.c``).

        Raises:
            LayoutError: there is none, or several statics have that name and `file` is not given.
        """
        entries = [v for v in self._info.variables.get(name, []) if not file or v.file == file]
        variable = _only(entries)
        if variable is None:
            files = ", ".join(entry.file for entry in entries)
            why = f"is a static of several files ({files})" if files else "is not there"
            raise LayoutError(f"{name}: {why} in the core of {self._name}")
        return variable

    def all_variables(self) -> list[tuple[str, Variable]]:
        """Return every global and static with its name, in no order."""
        return [(name, one) for name, found in self._info.variables.items() for one in found]

    def struct(self, key: str) -> StructType:
        """Return the struct or union that a `Named` type is."""
        return self._info.structs[key]


Definition = TypeVar("Definition", Symbol, Variable)


def _only(entries: list[Definition]) -> Definition | None:
    if len(entries) > 1:
        entries = [entry for entry in entries if entry.external]
    return entries[0] if len(entries) == 1 else None


@lru_cache(maxsize=32)
def _layout_of(core: Core) -> Layout:
    kept = core.path.parent / f"layout-{FORMAT}.msgpack"
    info = load_beside(kept, DebugInfo)
    if info is None:
        info = read_debug_info(core)
        keep_beside(kept, info)
    return Layout(info, core.path.parent.name[:12])
