"""The fixture ``explore``: a search of the schedules of a scenario or C file, as part of a test."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from testbed.explore.command import options_with_command
from testbed.explore.replay import read_schedule, replay, schedule_path
from testbed.explore.run import STOPPED, ExploreOptions
from testbed.explore.run import explore as search_schedules
from testbed.explore.schedule import Schedule, ScheduleFile
from testbed.explore.search import SearchOptions
from testbed.explore.strategies import (
    AUTO,
    DEFAULT_BUFFER,
    DEFAULT_MAX_STEPS,
    EXHAUSTIVE,
    STRATEGIES,
)
from testbed.explore.target import Target, TargetError, find_target, target_of
from testbed.findings import Finding, Summary
from testbed.runs import RunFolder, find_report, read_report
from testbed.scenario.harness import harness_of
from testbed.scenario.model import Scenario
from testbed.testing.result import Explored
from testbed.zoo import entries

if TYPE_CHECKING:
    from testbed.pytest_plugin import Context

# How one begins that is not a report's name.
SCHEDULE = re.compile(r"\d+:")

# Of a search that says neither: enough for what a test explores, and no matter of the clock.
DEFAULT_EXECUTIONS = 20_000
DEFAULT_DURATION_S = 60.0


def explore(
    context: Context,
    target: Scenario | str | Path,
    *,
    strategy: str | None = None,
    executions: int | None = None,
    duration: float | None = None,
    bound: int | None = None,
    seed: int | None = None,
    cpus: int | None = None,
    ticks: int = 0,
    preempt: str = "",
    depth: int = 0,
    buffer: int = DEFAULT_BUFFER,
    max_steps: int = DEFAULT_MAX_STEPS,
    races: bool = True,
    bug: str | Sequence[str] = (),
    patches: Sequence[str | Path] = (),
    defines: Sequence[str] = (),
    processes: int | None = None,
    schedule: str = "",
) -> Explored:
    """Search the schedules of `target` for one that fails.

    Args:
        context: of the test.
        target: a scenario; or a C file, ``FILE.py::NAME`` or ``FILE.py``, as seen from the test's
            file; or the name of something of the project.
        strategy: one of `STRATEGIES`.
        executions: runs at most; without it, and without `duration`, enough for a test.
        duration: the search ends after that, s.
        bound: preemptions and early drains of a run, at most; the search is exhaustive then.
        seed: of every random choice; that of the session by default.
        cpus: of the explored machine; as many as `target` needs by default.
        ticks: timer interrupts of each CPU in a run.
        preempt: where tasks lose their CPU, "full" or "none"; as `target` says by default.
        depth: of bugs that strategy pct looks for.
        buffer: stores that a CPU's buffer holds.
        max_steps: operations of one run.
        races: data races are findings.
        bug: names of bugs of the zoo that are put back.
        patches: files, as seen from the test's file, applied to the C sources.
        defines: macros for the target's own files.
        processes: explorers; by default this test's share of the cores.
        schedule: do the run of this schedule, instead of a search.

    Raises:
        TestbedError: it cannot be explored; one sentence tells why.
        KeyboardInterrupt: the user stopped it.
    """
    __tracebackhide__ = True
    marked, settings = context.marked, context.settings
    strategy = strategy or marked.get("strategy", AUTO if bound is None else EXHAUSTIVE[0])
    _check_strategy(strategy)
    executions = executions or marked.get("executions")
    duration = duration or marked.get("duration")
    if executions is None:
        executions = 0 if duration or strategy in EXHAUSTIVE else DEFAULT_EXECUTIONS
    seed = marked.get("seed", settings.seed) if seed is None else seed
    cores = len(os.sched_getaffinity(0))
    search = SearchOptions(
        seed=seed, processes=processes or max(1, cores // settings.workers), strategy=strategy,
        duration_s=duration or DEFAULT_DURATION_S, runs=executions, depth=depth,
        preemption_bound=bound, buffer=buffer, max_steps=max_steps, ticks=ticks, races=races,
    )  # fmt: skip
    found, addressable = _target(context, target)
    options = options_with_command(
        found.named, search, patches_of(context.folder, bug, patches), defines,
        cpus or marked.get("cpus", 0), preempt=preempt,
    )
    given = schedule or settings.replay
    wanted = run_of(given, settings.runs) if given else None
    if wanted is not None and not wanted.is_of(found, options):
        wanted = None
    explored = _explored(context, found, options, wanted)
    return _told(context, explored, addressable)


def patches_of(
    folder: Path, bug: str | Sequence[str], patches: Sequence[str | Path]
) -> list[Path]:
    """Return the patches of bugs of the zoo, and files as seen from `folder`.

    Raises:
        ZooError: there is no such bug.
    """
    bugs = [bug] if isinstance(bug, str) else list(bug)
    found = entries(bugs) if bugs else []
    return [*(entry.patch for entry in found), *(folder / one for one in patches)]


def _check_strategy(strategy: str) -> None:
    if strategy not in STRATEGIES:
        raise TargetError(f"strategy={strategy!r}: there are {', '.join(STRATEGIES)}")


def _target(context: Context, given: Scenario | str | Path) -> tuple[Target, bool]:
    """Return what to explore, and whether a command line can name it too."""
    if isinstance(given, Scenario):
        path = Path(given.file) if Path(given.file).is_file() else context.item.path
        named = f"{context.named_path(path)}::{given.name}"
        return target_of(harness_of(given, path), named), is_in_module(given, path)
    file, separator, name = str(given).partition("::")
    path = context.folder / file
    if path.suffix not in (".c", ".py") or not path.is_file():
        return find_target(str(given)), True
    found = find_target(f"{path}{separator}{name}")
    return replace(found, named=f"{context.named_path(path)}{separator}{name}"), True


def is_in_module(scenario: Scenario, path: Path) -> bool:
    """Tell whether a scenario is a global of the module made from `path`, under its own name."""
    modules = [module for module in list(sys.modules.values())
               if getattr(module, "__file__", None) == str(path)]  # fmt: skip
    return any(vars(module).get(scenario.name) is scenario for module in modules)


@dataclass(frozen=True)
class Wanted:
    """One run that is to be done.

    Attributes:
        schedule: of the run.
        expected: what is known of it.
        finding: that it ended with.
    """

    schedule: Schedule
    expected: ScheduleFile | None = None
    finding: Finding | None = None

    def is_of(self, target: Target, options: ExploreOptions) -> bool:
        """Tell whether it can be a run of this; a bare schedule is one of anything."""
        patches = tuple(patch.name for patch in options.patches)
        if self.finding is not None:
            return (self.finding.harness, self.finding.patches) == (target.name, patches)
        # Its folder is another one on another machine.
        wanted = "" if self.expected is None else Path(self.expected.target).name
        return self.expected is None or wanted == Path(target.named).name


def run_of(given: str, runs: Path | None) -> Wanted:
    """Return the run that `given` means.

    Args:
        given: a schedule, or a report as ``testbed replay`` takes it.
        runs: the folder of all runs.

    Raises:
        TestbedError: it means none.
    """
    if SCHEDULE.match(given):
        return Wanted(Schedule.parse(given))
    if given.endswith(".schedule"):
        expected = read_schedule(Path(given))
        return Wanted(expected.schedule, expected)
    path = find_report(given, runs)
    document = read_report(path)
    findings = (document,) if isinstance(document, Finding) else document.findings
    if not findings or findings[0].story is None:
        raise TargetError(f"{path}: no schedule failed, so there is none to replay")
    kept = schedule_path(path, findings[0])
    expected_run = read_schedule(kept) if kept.is_file() else None
    return Wanted(Schedule.parse(findings[0].story.schedule), expected_run, findings[0])


def _explored(
    context: Context, target: Target, options: ExploreOptions, wanted: Wanted | None
) -> Explored:
    """Search, or do one run, with as many tokens as there are processes."""
    folder = None
    if context.settings.runs is not None:
        folder = RunFolder.create(f"explore-{target.name}", context.settings.runs)
    with context.pool.taken(options.search.processes):
        if wanted is None:
            summary = search_schedules(target, options, folder=folder)
        else:
            summary = replay(target, options, wanted.schedule, wanted.expected, folder).summary
    if summary.reason == STOPPED:
        raise KeyboardInterrupt
    explored = Explored(summary)
    if folder is not None:
        explored.summary = folder.finish(summary)
        explored.report = "".join(str(folder.finding_path(one)) for one in summary.findings[:1])
    return explored


def _told(context: Context, explored: Explored, addressable: bool) -> Explored:
    """Say how the run is done again, and have it shown if the test fails."""
    summary = explored.summary
    here = context.command()
    for finding in summary.findings[:1]:
        if finding.story is not None and "--schedule" in finding.command:
            here += ("--testbed-replay", finding.story.schedule)
        else:
            here += ("--testbed-seed", str(summary.seed))
    if not addressable:
        explored.summary = with_commands(summary, here)
    elif summary.findings:
        explored.here = here
    context.show(explored, **explored.noted())
    return explored


def with_commands(summary: Summary, command: tuple[str, ...]) -> Summary:
    """Return `summary` with `command` as the way to do it, and its findings, again."""
    findings = tuple(structs.replace(one, command=command) for one in summary.findings)
    return structs.replace(summary, command=command, findings=findings)
