"""Search for a finding like one that is known: past other findings, up to the first alike.

Runs of the portfolio have numbers. A failing run that shows something else is passed over, and the
search goes on behind it; so the first run alike is the same with any number of processes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs

from testbed.explore.alike import Likeness, likeness
from testbed.explore.finding import Reader
from testbed.explore.process import ExplorerLost, Job, Pool, Result
from testbed.explore.run import (
    ExploreOptions,
    Progress,
    facts_of,
    opened,
    schedule_file,
    summary_of,
    told_finding,
)
from testbed.explore.schedule import encode
from testbed.explore.search import BATCH, Ended, Outcome, Search, SearchOptions, Totals
from testbed.explore.shrink import shrink
from testbed.explore.target import Target
from testbed.findings import Finding, Summary, Verdict
from testbed.kinds import Kind
from testbed.runs import RunFolder
from testbed.stress import Interrupts

# Jobs of one round, and runs of each at first. Both are part of what a seed means.
JOBS = 8
MOST_RUNS = 64 * BATCH


@dataclass
class Passed:
    """A finding that is not the one that is looked for.

    Attributes:
        title: of the finding.
        likeness: how alike it is all the same.
        runs: that showed it.
    """

    title: str
    likeness: Likeness
    runs: int = 0


@dataclass
class Sought:
    """What is looked for, and what came up instead.

    Attributes:
        wanted: the finding.
        reader: tells what a failing run found.
        accepts: tells whether a run that is alike will do.
        passed: other findings, by their kind and the way to both places.
        close: of them the first run of the same kind, rather one that has one of the places.
    """

    wanted: Finding
    reader: Reader
    accepts: Callable[[Result], bool] = lambda _result: True
    passed: dict[bytes, Passed] = field(default_factory=dict)
    close: Result | None = None
    _rank: int = 0

    def likeness_of(self, result: Result) -> Likeness | None:
        """Return how alike a failing run is if it is alike; else count it as passed over."""
        key = _way(result)
        known = self.passed.get(key)
        if known is None:
            finding = self.reader.finding(result)
            alike = likeness(self.wanted, finding, self.has)
            if alike.is_like:
                return alike if self.accepts(result) else None
            rank = alike.kind + (alike.kind and alike.is_close)
            if rank > self._rank and self.accepts(result):
                self.close, self._rank = result, rank
            known = self.passed[key] = Passed(finding.title, alike)
        known.runs += 1
        return None

    def has(self, file: str) -> bool:
        """Tell whether the explored program is made of a file."""
        return self.reader.core.source(file) is not None

    def told(self) -> str:
        """Return what was passed over, "" if nothing was."""
        runs: Counter[str] = Counter()
        for one in self.passed.values():
            runs[one.title] += one.runs
        return "; ".join(f"{title} ({count:,} runs)" for title, count in runs.most_common())


def _way(result: Result) -> bytes:
    record: Any = result.finding
    return b"".join(
        part.tobytes() for part in
        (record["kind"], record["here"]["stack"], record["other"]["stack"], record["value"][:2])
    )  # fmt: skip


def made_small(
    pool: Pool, options: SearchOptions, failure: Result, wanted: Callable[[Result], bool]
) -> Result:
    """Return the smallest run that fails like `failure`, with its events.

    What the explorer takes for the same is coarser than what a reader does: if the smallest one is
    another finding, `failure` stays as it is.
    """
    small = shrink(pool, options, failure)
    if small.finding is not None and wanted(small):
        return small
    flags = options.flags("show") - {"all", "check"}
    job = options.job("replay", "replay", schedule=failure.schedule, flags=flags)
    again = pool.one().do(job)
    if again.finding is None:
        raise ExplorerLost("a run failed, and passed when it was done again by its schedule")
    return again


@dataclass(frozen=True)
class Found:
    """How a search for a finding ended; `likeness` is None if nothing alike was found."""

    outcome: Outcome
    likeness: Likeness | None


def search_for(
    pool: Pool, options: SearchOptions, sought: Sought,
    progress: Callable[[float, int], None] = lambda _elapsed, _executions: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Found:  # fmt: skip
    """Search until a run fails like what is sought, or as long as the options say.

    Args:
        pool: who does it.
        options: how to search.
        sought: what to look for.
        progress: called often, with seconds and executions so far.
        interrupted: tells whether the user wants it to end.
    """
    begun = time.monotonic()
    usual = Search(
        pool, replace(options, all_findings=False),
        lambda one: progress(one.elapsed_s, one.executions), interrupted,
    )  # fmt: skip
    outcome = usual.run()
    failure = outcome.failure
    if failure is None or outcome.ended is Ended.DIVERGED:
        return Found(outcome, None)
    alike = sought.likeness_of(failure)
    if alike is not None:
        return Found(outcome, alike)
    rounds = _Rounds(pool, options, sought, begun, progress, interrupted, outcome.totals)
    return rounds.run()


class _Rounds:
    """The portfolio, a round of jobs at a time."""

    def __init__(
        self, pool: Pool, options: SearchOptions, sought: Sought, begun: float,
        progress: Callable[[float, int], None], interrupted: Callable[[], bool], totals: Totals,
    ) -> None:  # fmt: skip
        self._pool, self._options, self._sought, self._begun = pool, options, sought, begun
        self._progress, self._interrupted = progress, interrupted
        self._totals = totals
        self._stopped: Ended | None = None

    def run(self) -> Found:
        start, size = 0, BATCH
        failure, alike = None, None
        while failure is None and self._stopped is None:
            runs = self._options.runs
            if runs and start >= runs:
                self._stopped = Ended.RUNS
                break
            failure, alike = self._round([(start + n * size, size) for n in range(JOBS)])
            start += JOBS * size
            size = min(2 * size, MOST_RUNS)
        ended = Ended.FOUND if failure is not None else self._stopped or Ended.RUNS
        self._totals.seconds = time.monotonic() - self._begun
        return Found(Outcome(ended, "portfolio", self._totals, failure), alike)

    def _round(self, left: list[tuple[int, int]]) -> tuple[Result | None, Likeness | None]:
        """Do the runs of `left`, start and count; return the first of them that is alike."""
        found: tuple[Result | None, Likeness | None] = None, None
        first: float = float("inf")
        while left and self._stopped is None:
            parts, left = [part for part in left if part[0] < first], []
            results = list(self._pool.each(self._jobs(parts), self._look))
            for number, result in sorted(results, key=lambda row: row[0]):
                self._totals.add(result)
                run = result.failing_run
                if run is None:
                    continue
                alike = self._sought.likeness_of(result)
                start, count = parts[number]
                if alike is None:
                    left.append((run + 1, start + count - run - 1))
                elif run < first:
                    found, first = (result, alike), run
            left = [part for part in left if part[1] > 0]
        return found

    def _jobs(self, parts: list[tuple[int, int]]) -> Iterator[Job]:
        flags = self._options.flags() - {"all", "check"}
        for start, count in parts:
            yield self._options.job(
                "search", "portfolio", first_run=start, runs=count, flags=flags
            )

    def _look(self) -> None:
        elapsed = time.monotonic() - self._begun
        if self._stopped is None:
            if self._interrupted():
                self._stopped = Ended.INTERRUPTED
            elif elapsed >= self._options.duration_s:
                self._stopped = Ended.DURATION
            if self._stopped is not None:
                self._pool.stop_after(-1)
        self._progress(elapsed, self._totals.executions + self._pool.progress)


def explore_like(
    target: Target, options: ExploreOptions, wanted: Finding,
    progress: Callable[[Progress], None] = lambda _progress: None,
    folder: RunFolder | None = None,
) -> Summary:  # fmt: skip
    """Search the schedules of `target` for a finding like `wanted`.

    Args:
        target: what to explore.
        options: how; without data races unless `wanted` is one, since each of them would be met
            long before what is looked for.
        wanted: of a run on either machine.
        progress: called about 20 times a second.
        folder: gets the finding when it is made; the caller writes the summary.

    Raises:
        TestbedError: it cannot be explored, or an explorer process is lost.
    """
    search = options.search

    def tell(elapsed_s: float, executions: int) -> None:
        progress(Progress(elapsed_s, search.duration_s, {"executions": executions}, 0))

    with Interrupts().caught() as interrupts, opened(target, options) as (world, pool):
        core = world.core
        reader = Reader(core, facts_of(target, options, core), world.check, world.regions())
        sought = Sought(wanted, reader)
        found = search_for(pool, search, sought, tell, lambda: bool(interrupts.count))
        outcome = found.outcome
        findings: tuple[Finding, ...] = ()
        if outcome.failure is not None and found.likeness is not None:
            small = made_small(
                pool, search, outcome.failure,
                lambda run: likeness(wanted, reader.finding(run), sought.has).is_like,
            )  # fmt: skip
            finding = _told(told_finding(reader, small, options, outcome), sought, found.likeness)
            findings = (finding,)
            if folder is not None:
                folder.write_finding(finding)
                if "--schedule" in finding.command:
                    document = schedule_file(target, options, core, small, outcome.strategy)
                    folder.write(f"findings/{finding.signature}.schedule", encode(document))
    if not findings and sought.passed:
        outcome.failure = None
    return _judged(summary_of(target, options, core, outcome, findings), sought)


def _told(finding: Finding, sought: Sought, alike: Likeness) -> Finding:
    """Return a finding that says how alike it is, and what came before it."""
    wanted = sought.wanted
    why = [f"like finding {wanted.signature} of {wanted.harness}: {alike}"]
    if sought.passed:
        why.append(f"passed over before: {sought.told()}")
    story = finding.story
    assert story is not None
    return structs.replace(
        finding, story=structs.replace(story, why=(*story.why, *why))
    )


def _judged(summary: Summary, sought: Sought) -> Summary:
    """Return the summary of a search that has found nothing alike, but other things."""
    if summary.findings or not sought.passed:
        return summary
    wanted = sought.wanted
    return structs.replace(
        summary, verdict=Verdict.UNKNOWN,
        reason=f"nothing like finding {wanted.signature} ({wanted.title}) was met; other findings "
               f"were: {sought.told()}",
    )  # fmt: skip


def races_matter(wanted: Finding) -> bool:
    """Tell whether data races are to be findings in a search for `wanted`."""
    return wanted.kind is Kind.DATA_RACE
