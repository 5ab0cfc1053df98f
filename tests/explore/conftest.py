"""What tests of the explorer share: one call that explores a C file and tells how it ended.

A search is bounded by executions rather than by time, so that a busy machine changes nothing.
"""

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from testbed.explore.run import ExploreOptions
from testbed.explore.run import explore as run
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.paths import cache_folder, project_root
from testbed.testing.result import Explored as Result

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"

# Longer than anything here takes on a busy machine, s.
PATIENCE = 120.0


class Explored(Result):
    """How a search ended, with what only tests of the explorer itself ask for."""

    @property
    def classes(self) -> int:
        """Complete executions: those that passed or failed."""
        return int(self.counters["passed"]) + int(self.counters["failed"])

    @property
    def blocked(self) -> int:
        """Executions that ended at an assumption."""
        return int(self.counters.get("blocked on an assumption", 0))

    @property
    def redundant(self) -> int:
        """Executions that were cut because another one stands for them."""
        return int(self.counters.get("redundant", 0))


Explore = Callable[..., Explored]


def explored(
    file: str | Path, *, defines: tuple[str, ...] = (), patches: tuple[Path | str, ...] = (),
    cpus: int = 0, show_pass: bool = False, **search: Any,
) -> Explored:  # fmt: skip
    """Explore a C file, or a scenario of a Python file.

    Args:
        file: a path, absolute, or in ``programs`` beside this file, or in the project; or a name
            of the project's own.
        defines: macros, ``NAME`` or ``NAME=VALUE``.
        patches: applied to the sources first; paths in the project.
        cpus: of the machine.
        show_pass: keep the story of a run that passes.
        search: fields of SearchOptions; the seed is 1 and there is one process by default.
    """
    given = str(file)
    for folder in (PROGRAMS, project_root()):
        if (folder / given.partition("::")[0]).is_file():
            given = str(folder / given)
            break
    options = SearchOptions(**{"seed": 1, "duration_s": PATIENCE, "runs": 200_000} | search)
    target = find_target(given)
    paths = tuple(project_root() / patch for patch in patches)
    command = ("testbed", "explore", target.named, "--seed", str(options.seed))
    return Explored(run(target, ExploreOptions(
        search=options, patches=paths, defines=defines, cpus=cpus, show_pass=show_pass,
        command=command,
    )))  # fmt: skip


def kept(files: Mapping[str, str]) -> Path:
    """Write files where they lie in the next session, too, so that no core is built again."""
    digest = sha256(repr(sorted(files.items())).encode()).hexdigest()
    folder = cache_folder() / "tests" / digest[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if not (folder / name).exists():
            written = folder / f"{name}.{os.getpid()}"
            written.write_text(text)
            written.replace(folder / name)
    return folder


@pytest.fixture
def explore() -> Explore:
    """Explore a program; see `explored`."""
    return explored
