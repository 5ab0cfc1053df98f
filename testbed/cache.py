"""The build cache: objects and cores by the hash of what they were made of.

Several processes use it at once. Whatever has a final name is complete, because it was moved there
in one step; who builds a core holds its lock, so that the others wait instead of building too.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec

# Whatever nobody used for so long is removed from the cache, s.
MAX_AGE = 30 * 24 * 3600

# All sources of a core, in one file: hundreds of small ones would take longer than the link.
SOURCES = "sources.msgpack"

# Looking at everything in the cache takes longer than building a core; s.
PRUNE_EVERY = 24 * 3600


@dataclass(frozen=True)
class Core:
    """A built core.

    Attributes:
        path: the executable; what is derived from it may be kept beside it.
        build_id: 32 hexadecimal digits that name sources, flags and compiler.
        compiler: the first line of ``cc --version``.
        sources: names of the files that it was made of, relative to the project or absolute.
        warnings: what the compiler said while it built; empty is the rule.
        objects: names of the files in the order of the link, each with its object, which may be
            gone by now.
    """

    path: Path
    build_id: str
    compiler: str
    sources: tuple[str, ...]
    warnings: str
    objects: tuple[tuple[str, Path], ...] = field(default=(), compare=False)

    def source(self, name: str) -> list[str] | None:
        """Return the lines of a file as it was built, patches included; None if it was not.

        Args:
            name: as in debug information: relative to the project, or absolute.
        """
        text = _texts_in(self.path.parent).get(name)
        return None if text is None else text.decode(errors="replace").splitlines()


@lru_cache(maxsize=4)
def _texts_in(folder: Path) -> dict[str, bytes]:
    try:
        return msgspec.msgpack.decode((folder / SOURCES).read_bytes(), type=dict[str, bytes])
    except OSError:
        return {}


class Record(msgspec.Struct, frozen=True):
    """What is remembered beside a core, as JSON; see `Core`.

    Attributes:
        linked: names of files with the keys of their objects.
    """

    compiler: str
    sources: tuple[str, ...]
    warnings: str
    linked: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cache:
    """The cache in `folder`, which need not exist."""

    folder: Path

    def object(self, key: str) -> Path:
        """Return where the object of that key is or will be."""
        return self.folder / "objects" / f"{key}.o"

    def core(self, build_id: str) -> Core | None:
        """Return a core that is here, and mark it as used."""
        folder = self.folder / "cores" / build_id
        try:
            written = (folder / "core.json").read_bytes()
        except FileNotFoundError:
            return None
        with suppress(OSError):  # A cache that somebody else filled may be used as well.
            os.utime(folder)
        record = msgspec.json.decode(written, type=Record)
        objects = tuple((name, self.object(key)) for name, key in record.linked)
        return Core(
            folder / "core", build_id, record.compiler, record.sources, record.warnings, objects
        )

    def publish(
        self, result: Path, build_id: str, record: Record, texts: Mapping[str, bytes]
    ) -> Core:
        """Move the folder `result`, which has the file ``core``, to where others find it."""
        (result / SOURCES).write_bytes(msgspec.msgpack.encode(texts))
        (result / "core.json").write_bytes(msgspec.json.encode(record))
        (self.folder / "cores").mkdir(exist_ok=True)
        result.rename(self.folder / "cores" / build_id)
        core = self.core(build_id)
        assert core is not None, "it was just put there, and its lock is held"
        return core

    def keep(self, key: str, made: Path, warnings: str) -> None:
        """Move the object `made` here, with what the compiler said about it."""
        if warnings:
            self.object(key).with_suffix(".log").write_text(warnings)
        made.rename(self.object(key))

    def warnings(self, key: str) -> str:
        """Return what the compiler said about an object, and mark the object as used."""
        with suppress(OSError):
            os.utime(self.object(key))
        try:
            return self.object(key).with_suffix(".log").read_text()
        except FileNotFoundError:
            return ""

    @contextmanager
    def lock(self, build_id: str) -> Iterator[None]:
        """Hold the lock of a core; it goes with the process, however that ends."""
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{build_id}.lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def workplace(self) -> Iterator[Path]:
        """Make a folder on the same file system, gone afterwards."""
        (self.folder / "objects").mkdir(parents=True, exist_ok=True)
        (self.folder / "work").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder / "work") as folder:
            yield Path(folder)

    def prune(self) -> None:
        """Remove what nobody used for `MAX_AGE`, and what a killed process left; once a day."""
        stamp, now = self.folder / "pruned", time.time()
        with suppress(FileNotFoundError):
            if abs(now - stamp.stat().st_mtime) < PRUNE_EVERY:
                return
        stamp.touch()
        oldest = now - MAX_AGE
        for path in self.folder.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < oldest:
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)
