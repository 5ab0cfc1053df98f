"""Find a shared library by its soname or path, without loading it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import TestbedError

FOLDERS = (
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib",
    "/usr/lib", "/usr/local/lib",
)  # fmt: skip
# A line of "ldconfig -p":  libz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1
LDCONFIG_LINE = re.compile(r"^\s*(\S+) \([^)]*x86-64[^)]*\) => (\S+)$", re.MULTILINE)


class LibraryError(TestbedError):
    """A shared library cannot be found, or cannot be used as text."""


def find_library(name: str) -> Path:
    """Return the file of a library.

    Args:
        name: a path if it has a slash, else a soname such as ``libz.so.1``.

    Raises:
        LibraryError: there is none.
    """
    if "/" in name:
        path = Path(name)
        if not path.is_file():
            raise LibraryError(f"{name}: no such library")
        return path
    for folder in _folders():
        if (folder / name).is_file():
            return folder / name
    known = _from_ldconfig(name)
    if known is not None:
        return known
    raise LibraryError(
        f"{name}: no such library (looked in LD_LIBRARY_PATH, {', '.join(FOLDERS)} and ldconfig): "
        "install it, or give a path"
    )


def _folders() -> Iterator[Path]:
    named = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    yield from (Path(folder) for folder in named if folder)
    yield from (Path(folder) for folder in FOLDERS)


def _from_ldconfig(name: str) -> Path | None:
    program = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if program is None:
        return None
    done = subprocess.run([program, "-p"], capture_output=True, text=True, check=False)
    for soname, path in LDCONFIG_LINE.findall(done.stdout):
        if soname == name and Path(path).is_file():
            return Path(path)
    return None
