"""The C compiler, its identity, and the flags that the project's C is built with."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from testbed.errors import BuildError

NO_COMPILER = "no C compiler found (looked for {looked}): install one, for example: apt install gcc"

COMMON_FLAGS = (
    "-std=gnu11",
    "-O2",
    "-g",
    "-pipe",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-fno-omit-frame-pointer",
    "-fno-optimize-sibling-calls",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-fno-delete-null-pointer-checks",
    "-mno-red-zone",
    "-fno-pie",
    "-fcf-protection=none",
    "-fno-stack-protector",
)

# Handlers run inside of probed functions, whose vector registers nobody saves; libc's memcpy and
# memset use them, so the compiler must not put in calls to those either.
NO_VECTORS = ("-mgeneral-regs-only", "-fno-builtin")
NO_VECTORS_GCC = ("-fno-tree-loop-distribute-patterns", "-minline-all-stringops")

# The engine of the explorer. A switch between fibers saves no vector registers; every x86-64 since
# 2008 counts bits; all of its code in one section, so that it can tell its own frames.
ENGINE = (
    NO_VECTORS[0],
    *NO_VECTORS_GCC,
    "-O3",
    "-mpopcnt",
    "-fno-reorder-functions",
    "-fno-reorder-blocks-and-partition",
)

# The hooks of the race detector's instrumentation, with ours in place of its library: a call before
# each access, volatile ones told apart. What a file's flags are to clang instead is `FOR_CLANG`.
INSTRUMENTED = (
    "-fsanitize=thread",
    "--param=tsan-distinguish-volatile=1",
    "--param=tsan-instrument-func-entry-exit=0",
    "-Wno-tsan",
)

# A call of memcpy() is a call, which the explorer sees; an assigned struct is copied in place.
SEEN_CALLS = ("-fno-builtin", *NO_VECTORS_GCC)

FOR_CLANG: dict[str, tuple[str, ...]] = {
    "--param=tsan-distinguish-volatile=1": ("-mllvm", "-tsan-distinguish-volatile=1"),
    "--param=tsan-instrument-func-entry-exit=0": (
        "-mllvm",
        "-tsan-instrument-func-entry-exit=0",
    ),
    "-Wno-tsan": (),
} | dict.fromkeys(NO_VECTORS_GCC, ())

LINK_FLAGS = ("-no-pie", "-pthread", "-Wl,-z,relro,-z,now,-z,noexecstack")


@dataclass(frozen=True)
class Compiler:
    """A C compiler as found on this machine.

    Attributes:
        path: the executable, as it was found.
        identity: differs when the executable was replaced; found without running it.
    """

    path: Path
    identity: str

    def spelled(self, flags: Sequence[str]) -> list[str]:
        """Return `flags`, which are gcc's, as this compiler calls them; may start a process."""
        if not any(flag in FOR_CLANG for flag in flags) or not self.is_clang():
            return list(flags)
        return [word for flag in flags for word in FOR_CLANG.get(flag, (flag,))]

    def version(self) -> str:
        """Return the first line of ``cc --version``; starts a process."""
        return _version(self)

    def is_clang(self) -> bool:
        """Tell whether this is clang, under whatever name; starts a process the first time."""
        return _is_clang(self)

    def run(self, *arguments: str) -> str:
        """Return what it prints, for questions that it answers at once."""
        try:
            done = subprocess.run(
                [self.path, *arguments], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BuildError(f"{self.path}: the C compiler does not run: {error}") from error
        return done.stdout


@cache
def _version(compiler: Compiler) -> str:
    answer = compiler.run("--version")
    return answer.splitlines()[0] if answer else "unknown"


@cache
def _is_clang(compiler: Compiler) -> bool:
    return "__clang__" in compiler.run("-dM", "-E", "-x", "c", "/dev/null")


def find_compiler() -> Compiler:
    """Return the compiler that ``CC`` names, else the first of cc, gcc and clang.

    Raises:
        BuildError: there is none.
    """
    wanted = os.environ.get("CC", "")
    names = [wanted] if wanted else ["cc", "gcc", "clang"]
    for name in names:
        found = shutil.which(name)
        if found:
            # Run under the name that was found: what it links to may be a ccache.
            target = Path(found).resolve()
            status = target.stat()
            identity = f"{found} {target} {status.st_size} {status.st_mtime_ns}"
            return Compiler(Path(found), identity)
    raise BuildError(NO_COMPILER.format(looked=", ".join(names)))


@cache
def find_ninja() -> Path:
    """Return the ninja executable of the ``ninja`` package, else the system's.

    Raises:
        BuildError: there is none.
    """
    try:
        import ninja
    except ImportError:
        found = shutil.which("ninja")
    else:
        found = shutil.which("ninja", path=ninja.BIN_DIR) or shutil.which("ninja")
    if not found:
        raise BuildError("no ninja found: install it, for example: pip install ninja")
    return Path(found)
