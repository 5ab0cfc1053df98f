"""Generated scenarios, each judged by the explorer: the oracle of properties over scenarios.

Hypothesis wants many small examples: so one core serves all of them, and memory that is laid out
once. An example is searched with its own seed for a fixed number of operations, so it always fails
or never, and the smaller it is, the more of its schedules are tried: that is what makes it shrink.
What fails is told when Hypothesis has made it small: with a schedule, and as a test.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path

from testbed.build import Flavour, Request, build
from testbed.cache import Core
from testbed.explore.command import options_with_command
from testbed.explore.finding import Reader
from testbed.explore.process import ExplorerLost, Pool
from testbed.explore.run import ExploreOptions, facts_of, judge, told_finding
from testbed.explore.search import Outcome, Search, SearchOptions
from testbed.explore.shrink import shrink
from testbed.explore.target import Target, target_of
from testbed.explore.world import World
from testbed.findings import Finding, Verdict
from testbed.kinds import Kind, kind_of
from testbed.report.text import finding_text, headline
from testbed.scenario.harness import harness_of
from testbed.scenario.model import Scenario
from testbed.testing.virtual import patches_of

# Runs of any example, and operations that are spent on more of them.
LEAST_EXECUTIONS, MOST_EXECUTIONS = 50, 2000
DEFAULT_OPERATIONS = 200_000

# Nothing is cut short by the clock, s.
PATIENCE_S = 3600.0

# CPUs that memory is laid out for at first.
CPUS = 4

# Cores for which memory is kept: stock, and a few with bugs or C files.
ORACLES = 4


class Violated(AssertionError):
    """A scenario does not hold; there is a type for each kind of finding.

    Attributes:
        testbed_section: title and text of its report; None while a smaller one is looked for.
    """

    testbed_section: tuple[str, str] | None = None


@dataclass(frozen=True)
class Broken:
    """What is wrong with the sources that are explored, on purpose.

    Attributes:
        bug: names of bugs of the zoo that are put back.
        patches: files that are applied.
    """

    bug: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        return tuple(patches_of(Path(), self.bug, self.patches))


class Oracle:
    """Explores one scenario after the other, all of one core.

    Args:
        core: of the virtual flavour, with the C files of the scenarios.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._world: World | None = None

    def world(self, target: Target) -> World:
        """Return the world of `target`, which nobody explores but one caller at a time."""
        assert target.scenario is not None
        cpus = max(CPUS, target.scenario.cpus)
        if self._world is None or self._world.room < cpus:
            self.close()
            self._world = World(self.core, target, cpus)
        self._world.change(target)
        return self._world

    def close(self) -> None:
        """Give the memory back."""
        if self._world is not None:
            self._world.close()
            self._world = None


@lru_cache(ORACLES)
def _oracle(patches: tuple[Path, ...], sources: tuple[Path, ...]) -> Oracle:
    return Oracle(build(Request(Flavour.VIRTUAL, patches, sources)))


def check(
    scenario: Scenario,
    *,
    operations: int = DEFAULT_OPERATIONS,
    strategy: str = "portfolio",
    bug: str | Sequence[str] = (),
    patches: Sequence[str | Path] = (),
    ticks: int = 0,
    races: bool = True,
) -> None:
    """Explore a scenario for a while; raise if a run of it fails.

    Args:
        scenario: mostly one that Hypothesis has made, see `testbed.scenario.scenarios`; use
            ``@settings(deadline=None)``, since the first example builds a core.
        operations: that are spent on its runs, all together.
        strategy: how to search.
        bug: names of bugs of the zoo that are put back.
        patches: files that are applied to the C sources.
        ticks: timer interrupts of each CPU in a run.
        races: data races are findings.

    Raises:
        Violated: a run fails. Its text has the report, the smallest schedule, and a test to paste.
        TestbedError: it cannot be explored.
    """
    __tracebackhide__ = True
    broken = Broken((bug,) if isinstance(bug, str) else tuple(bug), tuple(map(str, patches)))
    search = SearchOptions(
        seed=_seed(scenario), strategy=strategy, runs=LEAST_EXECUTIONS, duration_s=PATIENCE_S,
        ticks=ticks, races=races,
    )  # fmt: skip
    path = Path(scenario.file or f"test_{scenario.name}.py")
    target = target_of(harness_of(scenario, path), f"{path.name}::{scenario.name}")
    oracle = _oracle(broken.paths, target.sources)
    options = options_with_command(target.named, search, broken.paths)
    world = oracle.world(target)
    with Pool(world.explorer, 1) as pool:
        outcome = _searched(pool, search, operations)
        verdict, reason = judge(outcome, search)
        if verdict is Verdict.UNKNOWN:
            raise Violated(f"unknown: {scenario.name}: {reason}")
        if verdict is Verdict.HELD:
            return
        kind = _kind(outcome)
        if not _is_told():
            raise _violated(kind)(f"violated: {scenario.name}: {kind}")
        finding = _finding(world, pool, options, outcome)
    raise _told(finding, scenario, broken, options)


def _searched(pool: Pool, search: SearchOptions, operations: int) -> Outcome:
    """Do a few runs, and as many more as the operations suffice for."""
    first = Search(pool, search).run()
    one_run = max(first.totals.steps // max(first.totals.executions, 1), 1)
    more = min(operations // one_run, MOST_EXECUTIONS) - LEAST_EXECUTIONS
    if more <= 0 or first.failure is not None:
        return first
    return Search(pool, replace(search, seed=search.seed + 1, runs=more)).run()


def _seed(scenario: Scenario) -> int:
    """Return a seed of this scenario's own."""
    return int.from_bytes(sha256(repr(scenario).encode()).digest()[:4], "little")


def _is_told() -> bool:
    """Tell whether anybody sees what is raised: not while Hypothesis looks for less."""
    from hypothesis import currently_in_test_context
    from hypothesis.control import current_build_context

    return not currently_in_test_context() or current_build_context().is_final


def _kind(outcome: Outcome) -> Kind:
    assert outcome.failure is not None
    assert outcome.failure.finding is not None
    return kind_of(int(outcome.failure.finding["kind"]))


@cache
def _violated(kind: Kind) -> type[Violated]:
    """Return the type of this kind: by its type, Hypothesis tells one failure from another."""
    name = "".join(word.capitalize() for word in str(kind).split("-"))
    return type(name, (Violated,), {"__doc__": f"A scenario shows {kind}."})


def _finding(world: World, pool: Pool, options: ExploreOptions, outcome: Outcome) -> Finding:
    """Return the finding of the smallest schedule that fails in the same way."""
    assert outcome.failure is not None
    small = shrink(pool, options.search, outcome.failure)
    if small.finding is None:
        raise ExplorerLost(f"{world.target.name}: a run that failed passed when it was done again")
    facts = facts_of(world.target, options, world.core)
    reader = Reader(world.core, facts, world.check, world.regions())
    return told_finding(reader, small, options, outcome)


def _told(
    finding: Finding, scenario: Scenario, broken: Broken, options: ExploreOptions
) -> Violated:
    """Return what to raise: a line, and a note with the whole report and a test."""
    text = f"{finding_text(finding)}\n{as_test(scenario, finding, broken, options)}"
    raised = _violated(finding.kind)(headline(finding))
    raised.testbed_section = (f"testbed: {scenario.name}", text)
    raised.add_note(text)
    return raised


def as_test(
    scenario: Scenario, finding: Finding, broken: Broken, options: ExploreOptions
) -> str:
    """Return the source of a test file that does the run of `finding` again."""
    arguments = [scenario.name]
    for name, values in (("bug", broken.bug), ("patches", broken.patches)):
        if values:
            arguments.append(f"{name}={json.dumps(values)}")
    if options.search.ticks:
        arguments.append(f"ticks={options.search.ticks}")
    if not options.search.races:
        arguments.append("races=False")
    if finding.story is not None:
        arguments.append(f'schedule="{finding.story.schedule}"')
    return (
        f"# This is a test: put it into test_{scenario.name}.py, and run that with pytest.\n"
        "from testbed.scenario import scenario\n\n\n"
        f"{scenario}\n\n"
        f"def test_{scenario.name}(explore):\n"
        f"    explore({', '.join(arguments)}).held()\n"
    )
