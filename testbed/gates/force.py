"""Does real hardware show what a schedule of the explorer shows?

The run of the schedule is shown once more on the virtual machine, cut into turns, and forced on the
real one, many times. A schedule that needs stores which leave their buffer late cannot be forced,
since to tell another CPU anything is a store as well; and a data race is shown by two CPUs that
come to their accesses at the same time. So another run is looked for that fails in the same way and
can be forced, if there is one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from msgspec import structs

from testbed import __version__
from testbed.build import Request
from testbed.explore.alike import Likeness, likeness
from testbed.explore.finding import Reader
from testbed.explore.like import Sought, made_small, races_matter, search_for
from testbed.explore.process import Pool, Result
from testbed.explore.replay import ReplayError, for_one_run
from testbed.explore.run import ExploreOptions, facts_of, opened
from testbed.explore.schedule import Schedule
from testbed.explore.search import SearchOptions
from testbed.explore.target import Target
from testbed.explore.world import World
from testbed.findings import Finding, Summary, Verdict, merge
from testbed.gates.plan import GateError, Plan, Planner
from testbed.gates.program import Attempt, Program, build_program
from testbed.gates.sites import Sites
from testbed.kinds import Kind
from testbed.layout import Layout
from testbed.report.model import RunFacts
from testbed.runs import RunFolder
from testbed.stress import Interrupts

# For so long a run is looked for that can be forced, s.
SEARCH_S = 6.0

# Where two CPUs go at once, one of them goes later by a random time below this, cycles.
MOST_SKEW = 150


@dataclass(frozen=True)
class ForceOptions:
    """How often and how long to try.

    Attributes:
        attempts: at most.
        timeout_s: for all attempts, s.
        command: argv that does it again.
    """

    attempts: int
    timeout_s: float
    command: tuple[str, ...]


@dataclass
class Tally:
    """What became of all attempts."""

    attempts: int = 0
    forced: int = 0
    shown: int = 0
    discarded: int = 0
    problems: int = 0
    problem: str = ""
    stuck: Counter[tuple[int, bool]] = field(default_factory=Counter)
    alike: Likeness | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(self, attempt: Attempt, wanted: Finding) -> None:
        """Count one."""
        self.attempts += 1
        self.forced += attempt.forced
        if attempt.problem:
            self.problems += 1
            self.problem = attempt.problem
            return
        self.discarded += attempt.discarded
        if attempt.stuck is not None and not attempt.discarded:
            self.stuck[attempt.stuck, attempt.came] += 1
        compared = [(likeness(wanted, one), one) for one in attempt.findings]
        alike = [one for one, _ in compared if one.is_like]
        if alike:
            self.shown += 1
            self.alike = self.alike or alike[0]
        self.findings += attempt.findings


@dataclass(frozen=True)
class Forced:
    """What was forced, and what it came to.

    Attributes:
        summary: of the attempts.
        verdict: one sentence.
        notes: what the gates could not do, or what was forced instead; sentences.
    """

    summary: Summary
    verdict: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Chosen:
    """The run to force, and its gates."""

    result: Result
    finding: Finding
    plan: Plan
    notes: tuple[str, ...]


def force(
    target: Target, options: ExploreOptions, schedule: Schedule, how: ForceOptions,
    folder: RunFolder | None = None,
    progress: Callable[[Tally], None] = lambda _tally: None,
) -> Forced:  # fmt: skip
    """Force the run of a schedule on the real machine.

    Args:
        target: what it is a run of.
        options: as the search had them.
        schedule: of a run that fails.
        how: how often.
        folder: gets what the real machine finds.
        progress: called after each attempt.

    Raises:
        ReplayError: the schedule shows nothing.
        GateError: it cannot be forced.
    """
    started, begun = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    search = for_one_run(options)
    with opened(target, search) as (world, pool):
        if not world.is_kernel:
            raise GateError(
                f"{target.name}: a program with pthreads, and the real machine runs tasks of the "
                f"kernel: write it with TASK() of workers/include/explore.h"
            )
        facts = facts_of(target, search, world.core)
        program = _program(target, search, facts, how)
        chosen = _Choosing(world, pool, search, program, facts).choose(schedule)
    tally = Tally()
    record = chosen.result.finding
    values = record["value"].tolist() if record is not None else [0] * 6
    is_race = chosen.finding.kind is Kind.DATA_RACE
    random = Random(options.search.seed)
    with Interrupts().caught() as interrupts:
        attempts_begun = time.monotonic()
        while tally.attempts < how.attempts and not interrupts.count:
            later = random.randrange(-MOST_SKEW, MOST_SKEW)
            skew = max(later, 0), max(-later, 0)
            attempt = program.attempt(chosen.plan, values[2:4] if is_race else (), skew)
            tally.add(attempt, chosen.finding)
            progress(tally)
            if time.monotonic() - attempts_begun > how.timeout_s:
                break
    findings = _findings(tally, chosen.finding, how.command, folder)
    summary = _summary(program, chosen, tally, how, findings)
    verdict = _told(chosen, tally)
    summary = structs.replace(
        summary, started=started, duration_s=round(time.monotonic() - begun, 3),
        reason=verdict if summary.verdict is Verdict.UNKNOWN else "",
    )  # fmt: skip
    return Forced(summary, verdict, chosen.notes)


def _program(
    target: Target, options: ExploreOptions, facts: RunFacts, how: ForceOptions
) -> Program:
    request = Request(patches=options.patches, defines=options.defines)
    facts = replace(facts, command=how.command)
    target = replace(target, preempt=options.preempt or target.preempt)
    return build_program(target, request, facts, options.cpus)


class _Choosing:
    """Chooses the run to force."""

    def __init__(
        self, world: World, pool: Pool, options: ExploreOptions, program: Program, facts: RunFacts
    ) -> None:
        self._pool, self._search = pool, options.search
        self._reader = Reader(world.core, facts, world.check, world.regions())
        self._planner = Planner(
            Sites(world.core), Sites(program.core), self._reader.names(), Layout.of(program.core)
        )

    def choose(self, schedule: Schedule) -> _Chosen:
        """Return the run of `schedule`, or one that shows the same and can be forced better."""
        result = self._shown(self._search, schedule)
        if result.end != "failed":
            raise ReplayError(
                f"{schedule}: its run {result.end}: only a schedule that fails can be forced"
            )
        wanted = self._reader.finding(result)
        plan = self._planner.plan(result)
        why = _why_not(plan)
        if not why:
            return _Chosen(result, wanted, plan, plan.notes)
        other = self._other(wanted)
        if other is None:
            told = f"what cannot be forced: {why}"
            if plan.late:
                told += "; up to that store the gates force the run, then both CPUs go at once"
            return _Chosen(result, wanted, plan, (told, *plan.notes))
        again, finding = self._planner.plan(other), self._reader.finding(other)
        how = likeness(wanted, finding)
        shows = "shows the same" if how.is_like else f"shows something close ({how})"
        told = (
            f"the schedule cannot be forced as it is: {why}; another one that {shows} is: "
            f"{other.schedule}"
        )
        return _Chosen(other, finding, again, (told, *again.notes))

    def _shown(self, search: SearchOptions, schedule: Schedule) -> Result:
        flags = search.flags("show", "strict") - {"all", "check"}
        return self._pool.one().do(search.job("replay", "replay", schedule=schedule, flags=flags))

    def _other(self, wanted: Finding) -> Result | None:
        """Return a run that fails like `wanted` and can be forced, None if none is met."""
        options: SearchOptions = replace(
            self._search, buffer=0, duration_s=SEARCH_S, strategy="portfolio", choose=None,
            races=races_matter(wanted), preemption_bound=None,
        )  # fmt: skip

        def can_be_forced(run: Result) -> bool:
            shown = self._shown(options, run.schedule)
            return shown.end == "failed" and not _why_not(self._planner.plan(shown))

        is_race = wanted.kind is Kind.DATA_RACE
        accepts = can_be_forced if is_race else lambda _run: True
        sought = Sought(wanted, self._reader, accepts)
        found = search_for(self._pool, options, sought)
        failure = found.outcome.failure if found.likeness is not None else sought.close
        if failure is None:
            return None
        return made_small(
            self._pool, options, failure,
            lambda run: accepts(run) and likeness(wanted, self._reader.finding(run)).kind,
        )  # fmt: skip


def _leaves_open(plan: Plan) -> bool:
    """Tell whether gates that were passed in order still leave something to the hardware."""
    return bool(plan.late or plan.notes)


def _why_not(plan: Plan) -> str:
    """Return why a run cannot be forced as it is, "" if it can."""
    if plan.late:
        return f"when a store leaves its buffer is not ours to say, and here {plan.late[0]}"
    if plan.between:
        return (
            "two CPUs have a data race if both come to their accesses at the same time, and here "
            f"the first one does {plan.between} more before the second one comes"
        )
    return ""


def _findings(
    tally: Tally, wanted: Finding, command: tuple[str, ...], folder: RunFolder | None
) -> tuple[Finding, ...]:
    """Return what was found, each once, what is alike first."""
    merged = [structs.replace(one, command=command) for one in merge(tally.findings)]
    ordered = sorted(merged, key=lambda one: not likeness(wanted, one).is_like)
    for finding in ordered:
        if folder is not None:
            folder.write_finding(finding)
    return tuple(ordered)


def _summary(
    program: Program, chosen: _Chosen, tally: Tally, how: ForceOptions,
    findings: tuple[Finding, ...],
) -> Summary:  # fmt: skip
    facts = program.facts
    counters: dict[str, int | float] = {
        "attempts": tally.attempts,
        "all gates in order": tally.forced,
        "shown": tally.shown,
        "gates": len(chosen.plan.gates),
        "turns": chosen.plan.turns,
    }
    if tally.discarded:
        counters["blocked on an assumption"] = tally.discarded
    verdict = Verdict.UNKNOWN
    if findings:
        verdict = Verdict.VIOLATED
    elif tally.forced == tally.attempts and not tally.problems and not _leaves_open(chosen.plan):
        verdict = Verdict.HELD
    return Summary(
        verdict=verdict, harness=facts.harness, claim=facts.claim, seed=facts.seed,
        options=dict(facts.options) | {"schedule": str(chosen.result.schedule)},
        command=how.command, version=__version__, build_id=program.core.build_id, started="",
        duration_s=0.0, counters=counters, findings=findings, patches=facts.patches,
        environment=facts.environment,
    )  # fmt: skip


def _told(chosen: _Chosen, tally: Tally) -> str:
    """Return the verdict as one sentence."""
    attempts = f"{tally.attempts:,} attempts"
    forced = f"all gates were passed in order in {tally.forced:,}"
    if tally.shown:
        assert tally.alike is not None, "something alike was shown"
        same = any(one.signature == chosen.finding.signature for one in tally.findings)
        alike = "the same signature" if same else str(tally.alike)
        return f"real hardware shows it: in {tally.shown:,} of {attempts}, {alike}; {forced}"
    if tally.findings:
        first = tally.findings[0]
        same = likeness(chosen.finding, first).is_close
        what = "shows it in another way" if same else "shows something else"
        return (
            f"real hardware {what}: {first.title}, in {len(tally.findings):,} of {attempts}; "
            f"{forced}"
        )
    if tally.problems == tally.attempts:
        return f"nothing can be said: {tally.problem}"
    if tally.forced:
        return f"not shown: {forced} of {attempts}{_stuck(chosen, tally, '; else ')}"
    return f"could not be forced in {attempts}{_stuck(chosen, tally, ': ')}"


def _stuck(chosen: _Chosen, tally: Tally, joint: str) -> str:
    """Return where most of the attempts that were not forced stood, "" if there are none."""
    if not tally.stuck:
        return f"{joint}{tally.discarded:,} ended at an assumption" if tally.discarded else ""
    (turn, came), count = tally.stuck.most_common(1)[0]
    gates = [gate for gate in chosen.plan.gates if gate.turn == turn]
    if not gates:
        return f"{joint}the last turn did not end in {count:,}"
    gate = gates[-1]
    what = "did not come to the end of its turn behind" if came else "never came to"
    return (
        f"{joint}gate {chosen.plan.gates.index(gate) + 1} of {len(chosen.plan.gates)}: CPU "
        f"{gate.event.cpu} {what} {gate.site} in {count:,}"
    )
