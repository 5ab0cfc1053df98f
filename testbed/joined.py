"""The engine's objects joined to one, whose own names a user's program may use again.

A program that calls its globals ``engine`` or ``threads`` must link with an engine that does so
too. Nobody keeps a list of the names that stay visible: they are those that somebody outside asks
for, see `visible`.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from testbed.errors import BuildError
from testbed.symbol_table import SHN_UNDEF, STB_LOCAL, read_symbols
from testbed.toolchain import Compiler

COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
FUNCTION = re.compile(rb"\b(\w+)[ \t]*\(")
DATUM = re.compile(rb"\bextern\b[^;(]*?(\w+)[ \t]*(?:\[[^;]*)?;")

# What start-up code calls, and the beginning of names that a program must not take.
START = "main"
RESERVED = "__"

# Where functions of POSIX and C are that an engine may have its own of.
LIBRARIES = ("libc.so.6", "libpthread.so.0", "libc.so")


@cache
def find_objcopy() -> Path | None:
    """Return the tool that makes symbols local; None: there is none, nothing can be joined."""
    found = shutil.which("objcopy") or shutil.which("llvm-objcopy")
    return Path(found) if found else None


def identity(tool: Path) -> str:
    """Return what differs when `tool` was replaced."""
    status = tool.resolve().stat()
    return f"{tool} {status.st_size} {status.st_mtime_ns}"


def declared(headers: Iterable[bytes]) -> set[str]:
    """Return the functions and data that `headers` declare, or use in a function of their own."""
    found: set[str] = set()
    for text in headers:
        code = COMMENT.sub(b"", text)
        found |= {name.decode() for name in (*FUNCTION.findall(code), *DATUM.findall(code))}
    return found


def visible(
    own: Sequence[Path], others: Sequence[Path], promised: set[str], compiler: Compiler
) -> set[str]:
    """Return the names that the joined object must show.

    Args:
        own: the objects to join.
        others: the other objects of the stock core.
        promised: declared by the headers that a user's file may include.
        compiler: whose libc has functions that the engine has its own of.
    """
    defined = {name for path in own for name in _symbols(path, defined=True)}
    needed = {name for path in others for name in _symbols(path, defined=False)}
    outside = needed | promised | _of_libc(compiler) | {START}
    return {name for name in defined if name in outside or name.startswith(RESERVED)}


def join(
    own: Sequence[Path], names: set[str], target: Path, compiler: Compiler, objcopy: Path
) -> None:
    """Make one object of `own`, in this order, that shows `names` only.

    Raises:
        BuildError: the objects cannot be joined.
    """
    kept = target.with_suffix(".names")
    kept.write_text("".join(f"{name}\n" for name in sorted(names)))
    everything = target.with_suffix(".all.o")
    for command in (
        [str(compiler.path), "-r", "-nostdlib", "-o", str(everything), *map(str, own)],
        [str(objcopy), f"--keep-global-symbols={kept}", str(everything), str(target)],
    ):
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"}
        )
        if done.returncode != 0:
            raise BuildError("the engine's objects cannot be joined", done.stdout + done.stderr)


def _of_libc(compiler: Compiler) -> set[str]:
    found: set[str] = set()
    for library in LIBRARIES:
        path = Path(compiler.run(f"-print-file-name={library}").strip())
        if path.is_absolute() and path.read_bytes()[:4] == b"\x7fELF":
            found |= set(_symbols(path, defined=True, table=".dynsym"))
    return found


def _symbols(path: Path, *, defined: bool, table: str = ".symtab") -> frozenset[str]:
    """Return the names that the object at `path` shows, or those that it asks for."""
    return _both_kinds(path, table)[defined]


# An object's name is a hash of what is in it, and mutants have most of them in common.
@lru_cache(maxsize=512)
def _both_kinds(path: Path, table: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that are asked for, and those that are shown."""
    from elftools.elf.elffile import ELFFile

    found: tuple[set[str], set[str]] = (set(), set())
    with path.open("rb") as file:
        for symbol in read_symbols(ELFFile(file), table):
            if symbol.binding != STB_LOCAL:
                found[symbol.section != SHN_UNDEF].add(symbol.name)
    return frozenset(found[0]), frozenset(found[1])
