"""The C compiler, its identity, and the flags that the project's C is built with."""

import os
import shutil
import subprocess
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

    def version(self) -> str:
        """Return the first line of ``cc --version``; starts a process."""
        answer = self._run("--version")
        return answer.splitlines()[0] if answer else "unknown"

    def is_clang(self) -> bool:
        """Tell whether this is clang, under whatever name; starts a process."""
        return "__clang__" in self._run("-dM", "-E", "-x", "c", "/dev/null")

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [self.path, *arguments], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BuildError(f"{self.path}: the C compiler does not run: {error}") from error
        return done.stdout


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
