"""The search: which jobs are done in which order, and what they came to together.

Runs have numbers, and what a run does follows from the seed and its number; prefixes of an
exhaustive search have an order too. Whatever fails first in that order is the result, so it is the
same with any number of processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from testbed.explore.process import Choose, Job, Pool, Result
from testbed.explore.strategies import AUTO, EXHAUSTIVE

# Runs of the first jobs: the batches in which strategies learn (workers/virtual/strategies). Later
# jobs are of several batches, until they take so long.
BATCH = 1024
MAX_RUNS_PER_JOB = 1024 * BATCH
JOB_NS = 50_000_000

# The first try of a search without orders: as many operations as a process does in a few seconds.
FIRST_OPERATIONS = 80_000_000
FIRST_RUNS = 4_000_000

# An exhaustive search is done in one piece, and if it is larger than this, in parts.
RUNS_IN_ONE_PIECE = 50_000
PARTS = 256
EVERYTHING = 2**62


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        seed: of every random choice.
        processes: explorer processes.
        strategy: one of `strategies.STRATEGIES`, or the name of the function `choose`.
        duration_s: the search ends after that.
        runs: it ends after so many executions; 0 = no such bound.
        depth: of PCT; 0 = 2, 3 and 4 in rotation.
        preemption_bound: of an exhaustive search; None = none.
        delay_bound: the same, of choices that are not the default.
        buffer: stores that a CPU's buffer holds; 0 = none: sequential consistency.
        max_steps: operations of one run.
        ticks: timer interrupts of each CPU in a run.
        races: data races are findings.
        all_findings: go on after a finding, and count.
        check: replay some of the runs and compare.
        choose: a strategy in Python.
    """

    seed: int
    processes: int = 1
    strategy: str = AUTO
    duration_s: float = 60.0
    runs: int = 0
    depth: int = 0
    preemption_bound: int | None = None
    delay_bound: int | None = None
    buffer: int = 8
    max_steps: int = 100_000
    ticks: int = 0
    races: bool = True
    all_findings: bool = False
    check: bool = False
    choose: Choose | None = None

    @property
    def bound(self) -> int | None:
        """Of an exhaustive search, whatever it counts."""
        return self.preemption_bound if self.delay_bound is None else self.delay_bound

    def flags(self, *more: str) -> frozenset[str]:
        """Return the flags of jobs."""
        chosen = {
            "races": self.races, "all": self.all_findings, "sc": not self.buffer,
            "check": self.check, "delays": self.delay_bound is not None,
        }  # fmt: skip
        return frozenset([*(name for name, wanted in chosen.items() if wanted), *more])

    def job(self, command: str, strategy: str, **more: object) -> Job:
        """Return a job with what all jobs of this search have in common."""
        values: dict[str, object] = {
            "seed": self.seed, "flags": self.flags(), "max_steps": self.max_steps,
            "buffer": self.buffer, "ticks": self.ticks,
            "depth": self.depth if strategy not in EXHAUSTIVE
            else 0 if self.bound is None else self.bound + 1,
        }  # fmt: skip
        return Job(command, strategy, **(values | more))  # type: ignore[arg-type]


class Ended(StrEnum):
    """Why a search is over."""

    COMPLETE = "complete"
    FOUND = "found"
    RUNS = "runs"
    DURATION = "duration"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


@dataclass
class Totals:
    """What the jobs of a search came to.

    Attributes:
        ends: executions by how they ended.
        states: of a stateful search.
        longest: operations of the longest run.
        seconds: since the search began.
        processor_s: that explorers worked, all together.
    """

    executions: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    decisions: int = 0
    steps: int = 0
    states: int = 0
    longest: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0
    bounded: bool = False
    checked: int = 0
    outcomes: dict[int, int] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count what one job came to."""
        self.executions += result.executions
        for end, count in result.ends.items():
            self.ends[end] = self.ends.get(end, 0) + count
        self.decisions += result.decisions
        self.steps += result.steps
        self.states += result.states
        self.longest = max(self.longest, result.longest)
        self.processor_s += result.nanoseconds / 1e9
        self.bounded |= result.bounded
        self.checked += result.replays
        for value, count in result.outcomes.items():
            self.outcomes[value] = self.outcomes.get(value, 0) + count

    def rows(self) -> dict[str, int]:
        """Return the counters that are worth a line."""
        rows = {
            "executions": self.executions,
            "passed": self.ends.get("passed", 0),
            "failed": self.ends.get("failed", 0),
            "blocked on an assumption": self.ends.get("assumed", 0),
            "redundant": self.ends.get("cut", 0),
            "stopped at the step bound": self.ends.get("bound", 0),
            "choices": self.decisions,
            "operations": self.steps,
            "states": self.states,
            "runs replayed and compared": self.checked,
        }
        always = ("executions", "passed", "failed")
        return {name: count for name, count in rows.items() if count or name in always}


@dataclass
class Outcome:
    """How a search ended.

    Attributes:
        ended: why.
        strategy: that had the last word.
        failure: of the failing run that comes first, None if there is none.
        passed: of some run that did not fail, for --show-pass.
    """

    ended: Ended
    strategy: str
    totals: Totals
    failure: Result | None = None
    passed: Result | None = None

    @property
    def complete(self) -> bool:
        """Every schedule was searched, as far as no bound is said."""
        return self.ended is Ended.COMPLETE


class Search:
    """A search under way.

    Args:
        pool: who does the jobs.
        options: see there.
        progress: called about 20 times a second.
        interrupted: tells whether the user wants it to end.
    """

    def __init__(
        self, pool: Pool, options: SearchOptions,
        progress: Callable[[Search], None] = lambda _search: None,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.pool, self.options = pool, options
        self._progress, self._interrupted = progress, interrupted
        self.totals = Totals()
        self.strategy = options.strategy
        self._pending = Totals()
        self._size = BATCH
        self._stopped: Ended | None = None
        self._until_s = options.duration_s
        self._begun = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Since the search began."""
        return time.monotonic() - self._begun

    @property
    def executions(self) -> int:
        """So far, those of jobs under way included."""
        return self.totals.executions + self._pending.executions + self.pool.progress

    def run(self) -> Outcome:
        """Search as the options say."""
        strategy = self.options.strategy
        if self.options.choose:
            outcome = self._sample("python")
        elif strategy == AUTO:
            outcome = self._auto()
        elif strategy in EXHAUSTIVE:
            outcome = self._exhaust(strategy)
        else:
            outcome = self._sample(strategy)
        self.totals.seconds = self.elapsed_s
        return outcome

    def _auto(self) -> Outcome:
        """One batch of the portfolio, a first try of everything, then the portfolio."""
        options = self.options
        first = self._sample("portfolio", BATCH)
        if first.ended is not Ended.RUNS:
            return first
        # Runs of an exhaustive search are not runs of a sample, so both are counted by themselves.
        sampled = self.totals
        for strategy, share in (("dpor", 0.4), ("stateful", 0.6)):
            self.totals = Totals()
            tried = self._try(strategy, first, options.duration_s * share)
            if tried.ended not in (Ended.RUNS, Ended.DURATION):
                return tried
        self.totals = sampled
        return self._sample("portfolio", options.runs, first_run=BATCH)

    def _try(self, strategy: str, first: Outcome, until_s: float) -> Outcome:
        """Search everything if that is quick; what spins has endless runs, but few states."""
        options = self.options
        most = min(FIRST_RUNS, max(BATCH, FIRST_OPERATIONS // max(first.totals.longest, 1)))
        most = min(most, options.runs or most)
        # Only what spins needs states; whatever ends is searched by its classes.
        if (strategy == "dpor") == bool(first.totals.ends.get("bound")):
            return Outcome(Ended.RUNS, strategy, self.totals)
        job = options.job("exhaust", strategy, runs=most)
        return self._ordered([job], strategy, until_s)

    def _sample(self, strategy: str, runs: int = 0, first_run: int = 0) -> Outcome:
        most = runs or self.options.runs
        self._size = BATCH if strategy != "python" else 1

        def jobs() -> Iterator[Job]:
            number = first_run
            while not most or number < most:
                size = min(self._size, most - number) if most else self._size
                yield self.options.job("search", strategy, first_run=number, runs=size)
                number += size

        return self._ordered(jobs(), strategy)

    def _exhaust(self, strategy: str) -> Outcome:
        """All of it: at first in one piece, then, if that takes long, in parts."""
        options = self.options
        bounded = options.runs or options.bound is not None or strategy == "stateful"
        most = options.runs or (EVERYTHING if bounded else RUNS_IN_ONE_PIECE)
        first = self._ordered([options.job("exhaust", strategy, runs=most)], strategy)
        if bounded or first.ended is not Ended.RUNS or first.failure is not None:
            return first
        self.totals = Totals()
        return self._ordered(self._parts(strategy), strategy)

    def _parts(self, strategy: str) -> Iterator[Job]:
        """Yield the jobs of an exhaustive search in parts, in the order of the search."""
        split = self.pool.one().do(self.options.job("split", strategy, runs=PARTS))
        for prefix, sleep in split.prefixes:
            yield self.options.job(
                "exhaust", strategy, runs=EVERYTHING, prefix=prefix, prefix_sleep=sleep
            )

    def _ordered(
        self, jobs: Iterable[Job], strategy: str, until_s: float = math.inf
    ) -> Outcome:
        """Do `jobs`; the failing one that comes first counts, and those before it."""
        self.strategy, self._stopped = strategy, None
        self._until_s = min(until_s, self.options.duration_s)
        results: dict[int, Result] = {}
        last = math.inf
        for number, result in self.pool.each(jobs, self._look):
            results[number] = result
            self._pending.add(result)
            if result.nanoseconds < JOB_NS and strategy != "python":
                self._size = min(2 * self._size, MAX_RUNS_PER_JOB)
            failed = result.failing_run is not None and not self.options.all_findings
            if failed or result.end == "diverged":
                last = min(last, number)
                self.pool.stop_after(last)
        self._pending = Totals()
        counted = [result for number, result in sorted(results.items()) if number <= last]
        for result in counted:
            self.totals.add(result)
        return self._judge(counted, strategy)

    def _judge(self, results: Sequence[Result], strategy: str) -> Outcome:
        failing = [result for result in results if result.failing_run is not None]
        outcome = Outcome(Ended.RUNS, strategy, self.totals)
        outcome.failure = failing[0] if failing else None
        outcome.passed = next((one for one in results if one.end == "passed"), None)
        if results and results[-1].end == "diverged":
            outcome.ended, outcome.failure = Ended.DIVERGED, results[-1]
        elif failing and not self.options.all_findings:
            outcome.ended = Ended.FOUND
        elif self._stopped is not None:
            outcome.ended = self._stopped
        elif strategy in EXHAUSTIVE and all(
            result.complete or result.all_within for result in results
        ):
            outcome.ended = Ended.COMPLETE
        return outcome

    def _look(self) -> None:
        if self._stopped is None:
            if self._interrupted():
                self._stopped = Ended.INTERRUPTED
            elif self.elapsed_s >= self._until_s:
                self._stopped = Ended.DURATION
            if self._stopped is not None:
                self.pool.stop_after(-1)
        self._progress(self)
