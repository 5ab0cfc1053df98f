"""Explorer processes for tests: a C file is built, and jobs are done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.build import Core, Flavour, Request, build
from testbed.explore.process import Explorer, Job, Result
from testbed.explore.target import build_target, find_target
from testbed.explore.world import World

PROGRAMS = Path(__file__).resolve().parent / "programs"

# More runs than anything here needs.
EVERYTHING = 1 << 40


def built(source: Path, *defines: str) -> Core:
    """Return the core that explores a C file."""
    return build(Request(Flavour.VIRTUAL, extra=(source,), defines=defines))


@contextmanager
def exploring(source: Path, *defines: str) -> Iterator[Explorer]:
    """Give an explorer process for a C file."""
    with Explorer(built(source, *defines)) as explorer:
        yield explorer


@contextmanager
def exploring_target(
    name: Path, *defines: str, patches: tuple[Path, ...] = ()
) -> Iterator[Explorer]:
    """Give an explorer process in the world of a target: a kernel's file, or a scenario's."""
    target = find_target(str(name))
    core = build_target(target, patches, defines)
    with World(core, target) as world, world.explorer(0) as explorer:
        yield explorer


def exhaust(explorer: Explorer, strategy: str, buffer: int = 8) -> Result:
    """Return what all schedules of a program come to, findings counted; nothing is left out.

    Args:
        explorer: of the program.
        strategy: an exhaustive one.
        buffer: stores that a CPU's buffer holds; 0 = sequential consistency.
    """
    flags = frozenset({"all"} if buffer else {"all", "sc"})
    job = Job("exhaust", strategy, runs=EVERYTHING, buffer=buffer, flags=flags)
    result = explorer.do(job)
    assert result.complete, "the search was cut short, so what it did not see proves nothing"
    assert not result.bounded
    return result


def first_bug(explorer: Explorer, strategy: str, seed: int, depth: int = 0) -> int:
    """Return how many runs of a strategy it takes to the first finding."""
    job = Job("search", strategy, seed=seed, depth=depth, runs=EVERYTHING)
    result = explorer.do(job)
    assert result.failing_run is not None
    return result.failing_run + 1
