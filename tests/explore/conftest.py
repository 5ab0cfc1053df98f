"""What tests of the explorer share: one call that explores a C file and tells how it ended.

A search is bounded by executions rather than by time, so that a busy machine changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.explore.run import ExploreOptions
from testbed.explore.run import explore as run
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Finding, Kind, Story, Summary, Verdict
from testbed.paths import project_root

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"

# Longer than anything here takes on a busy machine, s.
PATIENCE = 120.0


@dataclass(frozen=True)
class Explored:
    """How a search ended.

    Attributes:
        summary: all of it.
    """

    summary: Summary

    @property
    def verdict(self) -> Verdict:
        return self.summary.verdict

    @property
    def complete(self) -> bool:
        """Every schedule was searched."""
        return self.summary.searched is not None and self.summary.searched.complete

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.summary.findings

    @property
    def finding(self) -> Finding:
        (one,) = self.summary.findings
        return one

    @property
    def kinds(self) -> list[Kind]:
        return [finding.kind for finding in self.summary.findings]

    @property
    def story(self) -> Story:
        story = self.finding.story
        assert story is not None
        return story

    @property
    def interventions(self) -> int:
        """Of the minimal schedule."""
        return len(self.story.interventions)

    @property
    def counters(self) -> Mapping[str, int | float]:
        return self.summary.counters

    @property
    def executions(self) -> int:
        return int(self.counters["executions"])

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

    @property
    def outcomes(self) -> dict[int, int]:
        """What runs gave to explore_outcome(), and how many of them."""
        return dict(self.summary.outcomes)


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


@pytest.fixture
def explore() -> Explore:
    """Explore a program; see `explored`."""
    return explored
