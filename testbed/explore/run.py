"""From a target and options to a summary: build, search, minimize, tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from testbed import __version__
from testbed.cache import Core
from testbed.config import Preempt
from testbed.explore.finding import Reader
from testbed.explore.process import ExplorerLost, Pool, Result
from testbed.explore.schedule import ScheduleFile, encode
from testbed.explore.search import Ended, Outcome, Search, SearchOptions
from testbed.explore.shrink import goes_in_circles, shrink
from testbed.explore.strategies import EXHAUSTIVE
from testbed.explore.target import Target, build_target
from testbed.explore.world import World
from testbed.findings import Finding, Searched, Summary, Verdict, environment
from testbed.report.model import RunFacts
from testbed.runs import RunFolder
from testbed.stress import Interrupts

STOPPED = "it was stopped before all was searched"


@dataclass(frozen=True)
class ExploreOptions:
    """What is explored, and how.

    Attributes:
        search: how to search.
        patches: applied to the C sources first.
        defines: macros of the target's own files.
        cpus: of the explored machine; 0 = as many as the target needs.
        preempt: where its tasks lose their CPU; "" = as the target says.
        show_pass: show a run that passes.
        shown: options as a report shows them, by name.
        command: argv that does it again.
        same_run: those of its arguments that a single run depends on.
    """

    search: SearchOptions
    patches: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    cpus: int = 0
    preempt: str = ""
    show_pass: bool = False
    shown: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    same_run: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a search is; see `testbed.cli.output.ProgressLike`."""

    elapsed_s: float
    duration_s: float
    counters: dict[str, int | float]
    findings: int


def explore(
    target: Target,
    options: ExploreOptions,
    progress: Callable[[Progress], None] = lambda _progress: None,
    folder: RunFolder | None = None,
) -> Summary:
    """Search the schedules of `target`.

    Args:
        target: what to explore.
        options: how.
        progress: called about 20 times a second.
        folder: gets the finding when it is made; the caller writes the summary.

    Raises:
        TestbedError: it cannot be explored, or an explorer process is lost.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    search = options.search
    with Interrupts().caught() as interrupts, opened(target, options) as (world, pool):
        under_way = Search(
            pool, search, lambda one: progress(_progress(one)), lambda: bool(interrupts.count)
        )
        outcome = under_way.run()
        core = world.core
        reader = Reader(core, facts_of(target, options, core), world.check, world.regions())
        findings: tuple[Finding, ...] = ()
        if outcome.failure is not None and outcome.ended is not Ended.DIVERGED:
            small = shrink(pool, search, outcome.failure)
            if small.finding is None:
                raise ExplorerLost(
                    f"a run of strategy {outcome.strategy} failed, and passed when it was done "
                    "again by its schedule: that is no verdict on the program; try another strategy"
                )
            finding = told_finding(reader, small, options, outcome)
            findings = (finding,)
            if folder is not None:
                folder.write_finding(finding)
                if "--schedule" in finding.command:
                    document = schedule_file(target, options, core, small, outcome.strategy)
                    folder.write(f"findings/{finding.signature}.schedule", encode(document))
        passing = None
        if options.show_pass and outcome.passed is not None:
            passing = reader.story(_shown(pool, search, outcome.passed))
    summary = summary_of(target, options, core, outcome, findings)
    return structs.replace(summary, started=started, passing=passing)


@contextmanager
def opened(target: Target, options: ExploreOptions) -> Iterator[tuple[World, Pool]]:
    """Give the world of `target` and explorer processes in it, gone afterwards.

    Raises:
        BuildError: it does not compile.
        MachineUnable: it cannot be explored here.
    """
    search = options.search
    core = build_target(target, options.patches, options.defines)
    with (
        World(core, target, options.cpus, options.preempt) as world,
        Pool(lambda index: world.explorer(index, search.choose), search.processes) as pool,
    ):
        yield world, pool


def told_finding(
    reader: Reader, small: Result, options: ExploreOptions, outcome: Outcome | None = None
) -> Finding:
    """Return the finding that a shown run ended with.

    Args:
        reader: of the core that ran.
        small: the run, with its events.
        options: of the search.
        outcome: of the search that found it first, if there was one.
    """
    finding = reader.finding(small)
    command = (*options.command[:3], *options.same_run, "--schedule", str(small.schedule))
    if goes_in_circles(small):
        # No single run shows it: the search does.
        command = (*options.command[:3], "--strategy", "stateful", *options.same_run)
    count, found_with = 1, 0
    if outcome is not None and outcome.failure is not None:
        count = outcome.totals.ends.get("failed", 0) or 1
        found_with = len(outcome.failure.schedule.bursts())
    story = finding.story and structs.replace(finding.story, found_with=found_with)
    return structs.replace(finding, story=story, count=count, command=command)


def summary_of(
    target: Target, options: ExploreOptions, core: Core, outcome: Outcome,
    findings: tuple[Finding, ...],
) -> Summary:  # fmt: skip
    """Return the summary of a search."""
    search, totals = options.search, outcome.totals
    verdict, reason = judge(outcome, search)
    facts = facts_of(target, options, core)
    return Summary(
        verdict=verdict,
        harness=target.name,
        claim=target.claim,
        seed=search.seed,
        options=shown_options(target, options),
        command=options.command,
        version=__version__,
        build_id=core.build_id,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=round(totals.seconds, 3),
        counters=dict(totals.rows()),
        findings=findings,
        reason=reason,
        patches=facts.patches,
        environment=facts.environment,
        searched=_searched(outcome, search),
        outcomes=tuple(totals.outcomes.items()),
    )


def shown_options(target: Target, options: ExploreOptions) -> dict[str, str]:
    """Return the options as a report shows them, with what `target` itself asks for."""
    asked = {"preempt": target.preempt} if target.preempt != Preempt.FULL else {}
    return asked | dict(options.shown)


def _progress(search: Search) -> Progress:
    elapsed = search.elapsed_s
    counters: dict[str, int | float] = {"executions": search.executions}
    return Progress(elapsed, search.options.duration_s, counters, 0)


def _shown(pool: Pool, search: SearchOptions, run: Result) -> Result:
    """Return the result of doing a run again, with its events."""
    flags = search.flags("show", "strict") - {"all", "check"}
    return pool.one().do(search.job("replay", "replay", schedule=run.schedule, flags=flags))


def judge(outcome: Outcome, options: SearchOptions) -> tuple[Verdict, str]:
    """Return the verdict of a search, and why it is unknown."""
    ends = outcome.totals.ends
    if outcome.ended is Ended.DIVERGED:
        return Verdict.UNKNOWN, (
            "a run that was done again by its schedule did something else: the program depends on "
            "something that is not part of its schedule"
        )
    if outcome.failure is not None:
        return Verdict.VIOLATED, ""
    if ends.get("bound") and outcome.totals.longest <= options.max_steps:
        return Verdict.UNKNOWN, (
            f"{ends['bound']:,} of {outcome.totals.executions:,} runs were given up: they write or "
            "allocate more than the explorer keeps of one run"
        )
    if ends.get("bound"):
        return Verdict.UNKNOWN, (
            f"{ends['bound']:,} of {outcome.totals.executions:,} runs did not end within "
            f"{options.max_steps:,} operations: raise --max-steps, or bound the loops of the "
            "program"
        )
    if outcome.ended is Ended.INTERRUPTED:
        return Verdict.UNKNOWN, STOPPED
    if not ends.get("passed"):
        return Verdict.UNKNOWN, "no run came to its end, so nothing was tested"
    if outcome.strategy in EXHAUSTIVE and not outcome.complete:
        return Verdict.UNKNOWN, "not every schedule was searched in the time or number given"
    return Verdict.HELD, ""


def _searched(outcome: Outcome, options: SearchOptions) -> Searched:
    totals = outcome.totals
    bounds = []
    if options.preemption_bound is not None and outcome.strategy in EXHAUSTIVE:
        bounds.append(f"at most {options.preemption_bound} preemptions and early drains")
    if options.delay_bound is not None and outcome.strategy in EXHAUSTIVE:
        bounds.append(f"at most {options.delay_bound} choices that are not the default")
    if totals.ends.get("bound"):
        bounds.append(f"at most {options.max_steps:,} operations of a run")
    if options.races and outcome.strategy == "stateful":
        bounds.append("data races were not looked for")
    if options.ticks:
        bounds.append(f"at most {options.ticks} timer interrupts of each CPU")
    words = {
        Ended.COMPLETE: "every schedule was searched",
        Ended.FOUND: "a schedule fails",
        Ended.RUNS: "so many runs were asked for",
        Ended.DURATION: "the time was over",
        Ended.INTERRUPTED: "it was interrupted",
        Ended.DIVERGED: "a run could not be done again",
    }
    return Searched(
        strategy=outcome.strategy,
        complete=outcome.complete,
        ended=words[outcome.ended],
        bounds=tuple(bounds),
        seconds=round(totals.seconds, 3),
        executions_per_s=round(totals.executions / totals.processor_s, 1)
        if totals.processor_s else 0.0,
        # Two of n states have one hash of 64 bits with a probability of at most n^2 / 2^65.
        collision_bound=totals.states**2 / 2**65,
    )  # fmt: skip


def facts_of(target: Target, options: ExploreOptions, core: Core) -> RunFacts:
    """Return what a report says of the search."""
    return RunFacts(
        harness=target.name,
        claim=target.claim,
        seed=options.search.seed,
        options=shown_options(target, options),
        command=options.command,
        version=__version__,
        build_id=core.build_id,
        environment=environment(core.compiler),
        patches=tuple(path.name for path in options.patches),
    )


def schedule_file(
    target: Target, options: ExploreOptions, core: Core, result: Result, strategy: str
) -> ScheduleFile:
    """Return all that is needed to do the run of `result` again."""
    return ScheduleFile(
        version=__version__,
        target=target.named,
        build_id=core.build_id,
        seed=options.search.seed,
        strategy=strategy,
        options=options.same_run,
        interventions=result.schedule.interventions,
        checkpoints=result.checkpoints,
        end=result.end,
        signature=result.signature,
        command=(*options.command[:3], *options.same_run, "--schedule", str(result.schedule)),
    )
