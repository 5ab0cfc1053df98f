"""Which C files make a core, what each of them includes, and so when it must be built again."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from testbed.errors import BuildError

INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)
MAIN = re.compile(rb"\bmain[ \t]*\(")
WRAPPED = re.compile(rb"\b__wrap_(\w+)")

# Folders of `workers` that every machine runs, the headers that need them, and how the files of a
# machine are called that stand between it and them.
MECHANISMS = ("kernel", "x86", "tasks")
VOCABULARY = (
    *(f"workers/{folder}/" for folder in MECHANISMS),
    "workers/include/explore.h",
    "workers/include/machine.h",
)
BRIDGE = "kernel"
# A machine that is another one with something added.
BASED_ON = {"gated": "real"}
# The folder of a machine that runs text, which only mechanisms have.
TEXT = "text"


# Files that mark where a folder's code starts and ends are linked first and last of it.
EDGES = {"text_first.c": -1, "text_last.c": 1}


def digest(*parts: str | bytes) -> str:
    """Return a hash of `parts` as 32 hexadecimal digits; their lengths count."""
    state = blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


@dataclass(frozen=True)
class Source:
    """One file to compile.

    Attributes:
        path: where it is now.
        name: how it is called in messages and debug information: relative to the project, or
            absolute when it lies elsewhere.
    """

    path: Path
    name: str


@dataclass
class SourceTree:
    """The project's sources under `root`, read at most once each.

    Includes are followed by their text, as the compiler would, without minding ``#if``: a file is
    rather built once too often. Headers of the system are not followed: they come with the
    compiler.

    Attributes:
        root: the folder of the sources.
        machine: the folder in ``workers`` of the machine to build for.
        mechanisms: link the kernel's mechanisms; False for a program that uses none of them.
    """

    root: Path
    machine: str
    mechanisms: bool = True
    _contents: dict[str, bytes | None] = field(default_factory=dict)
    _included: dict[str, list[str]] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)
    _resolved: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._inside = f"{self.root}{os.sep}"
        self._folders = [os.path.join(self.root, folder) for folder in self.include_folders()]

    def include_folders(self) -> list[Path]:
        """Return the folders of ``-I``, in order, relative to the root."""
        own = [Path("workers", folder) for folder in self.machine_folders()]
        return [Path(), Path("workers/include"), Path("workers"), *own]

    def machine_folders(self) -> list[str]:
        """Return the folders in ``workers`` of the machine, what it is based on first."""
        base = BASED_ON.get(self.machine)
        return [base, self.machine] if base else [self.machine]

    def core_sources(self) -> list[Source]:
        """Return every file of the stock core, in the order of the link: sorted by name.

        Raises:
            BuildError: a folder of the core has no source.
        """
        found = []
        machine = self.machine_folders()
        folders = [*MECHANISMS, *machine] if self.mechanisms else machine
        for folder in ("shm_layout", *(f"workers/{one}" for one in folders)):
            paths = sorted(
                (Path(where, name)
                 for where, _, names in os.walk(self.root / folder, followlinks=True)
                 for name in names if name.endswith((".c", ".S"))),
                key=lambda path: (EDGES.get(path.name, 0), path),
            )  # fmt: skip
            if not paths:
                raise BuildError(f"{self.root / folder}: no C sources here")
            found += [Source(path, self._name(str(path))) for path in paths]
        if not self.mechanisms:
            found = [one for one in found
                     if not one.path.name.startswith(BRIDGE) and one.path.parent.name != TEXT]
        return found

    def use_mechanisms(self, sources: Sequence[Source]) -> bool:
        """Tell whether `sources` are no program of their own, but tasks on a kernel."""
        if not any(MAIN.search(self._read(str(one.path)) or b"") for one in sources):
            return True
        names = {self._name(path) for one in sources for path in self.closure(one.path)}
        return any(name.startswith(VOCABULARY) for name in names)

    def vocabulary(self) -> dict[str, bytes]:
        """Return the headers that a user's file may include, and what they include, by path."""
        found: dict[str, bytes] = {}
        for folder in ("shm_layout", "workers/include", *(f"workers/{one}" for one in MECHANISMS)):
            for header in sorted(self.root.glob(f"{folder}/*.h")):
                found |= {path: self._read(path) or b"" for path in self.closure(header)}
        return found

    def vocabulary_key(self) -> str:
        """Return a hash of `vocabulary`."""
        return digest("".join(self._hash(path) for path in sorted(self.vocabulary())))

    def wrapped(self, sources: Sequence[Source]) -> list[str]:
        """Return the functions of libc for which `sources` have a ``__wrap_`` of their own."""
        found: set[str] = set()
        for source in sources:
            found |= _names_wrapped(self._read(str(source.path)) or b"")
        return sorted(found)

    def extra_sources(self, paths: Sequence[Path], checkout: Path) -> list[Source]:
        """Return a user's own files; those inside of `checkout` are taken from this tree.

        Raises:
            BuildError: a file does not exist or is not C.
        """
        found = []
        for given in paths:
            path = given.resolve()
            name = str(path)
            if path.is_relative_to(checkout):
                name = str(path.relative_to(checkout))
                if (self.root / name).is_file():
                    path = self.root / name
            if not path.is_file():
                raise BuildError(f"{given}: no such C file")
            if path.suffix not in (".c", ".S"):
                raise BuildError(f"{given}: a task's file ends in .c or .S")
            found.append(Source(path, name))
        return found

    def content_key(self, source: Source) -> str:
        """Return a hash of `source` and all that it includes, by name and content."""
        return digest(source.name, "".join(map(self._hash, self.closure(source.path))))

    def texts(self, sources: Sequence[Source]) -> dict[str, bytes]:
        """Return the contents of `sources` and of what they include, by name."""
        paths = {path for source in sources for path in self.closure(source.path)}
        return {self._name(path): self._read(path) or b"" for path in sorted(paths)}

    def folders_beside(self, path: Path) -> list[str]:
        """Return the folders of `path` and what it includes that only look like being inside."""
        folders = {os.path.dirname(one) for one in self.closure(path)}
        return sorted(
            one for one in folders
            if one.startswith(str(self.root)) and not f"{one}{os.sep}".startswith(self._inside)
        )  # fmt: skip

    def changed(self) -> bool:
        """Tell whether a file has another content now than when it was read here."""
        again = SourceTree(self.root, self.machine, self.mechanisms)
        return any(again._read(path) != text for path, text in self._contents.items())

    def closure(self, path: Path) -> list[str]:
        """Return `path` and every project or user file that it includes, however deep."""
        seen: dict[str, None] = {}
        waiting = [os.path.abspath(path)]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen[current] = None
                waiting += self._direct_includes(current)
        return list(seen)

    def _direct_includes(self, path: str) -> list[str]:
        if path not in self._included:
            folder = os.path.dirname(path)
            named = _names_included(self._read(path) or b"")
            resolved = (self._resolve(folder, quoted, angled) for quoted, angled in named)
            self._included[path] = [one for one in resolved if one is not None]
        return self._included[path]

    def _resolve(self, beside: str, quoted: str, angled: str) -> str | None:
        """Return what the compiler would include in a file of the folder `beside`."""
        if not quoted:
            beside = ""  # Does not matter, so that the answer is the same for all folders.
        if (beside, quoted or angled) not in self._resolved:
            folders = [beside, *self._folders] if beside else self._folders
            spelled = (f"{one}{os.sep}{quoted or angled}" for one in folders)
            paths = ((path, os.path.normpath(path)) for path in spelled)
            given, found = next(
                ((given, path) for given, path in paths if self._read(path) is not None),
                (None, None),
            )
            # In a patched copy a folder may be a link, and what is above it then lies elsewhere.
            if given and found and ".." in given and not os.path.samefile(given, found):
                raise BuildError(
                    f'{self._name(beside)}: includes "{quoted or angled}", which is not the patched'
                    " file: write its path from the project's folder"
                )
            self._resolved[beside, quoted or angled] = found
        return self._resolved[beside, quoted or angled]

    def _name(self, path: str) -> str:
        return path.removeprefix(self._inside)

    def _hash(self, path: str) -> str:
        """Return a hash of the name and the content of a file."""
        if path not in self._hashes:
            self._hashes[path] = digest(self._name(path), self._read(path) or b"")
        return self._hashes[path]

    def _read(self, path: str) -> bytes | None:
        if path not in self._contents:
            try:
                with open(path, "rb") as file:
                    self._contents[path] = file.read()
            except OSError:
                self._contents[path] = None
        return self._contents[path]


@lru_cache(maxsize=1024)
def _names_included(text: bytes) -> list[tuple[str, str]]:
    """Return what the #include lines of a file name, each in quotes or in angles; else ""."""
    return [(os.fsdecode(quoted), os.fsdecode(angled)) for quoted, angled in INCLUDE.findall(text)]


@lru_cache(maxsize=1024)
def _names_wrapped(text: bytes) -> frozenset[str]:
    return frozenset(name.decode() for name in WRAPPED.findall(text))
