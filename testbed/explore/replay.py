"""One run by its schedule, and whether it was the run that the schedule was made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from testbed.errors import TestbedError
from testbed.explore.finding import Reader
from testbed.explore.process import Pool, Result
from testbed.explore.run import ExploreOptions, facts_of, opened, summary_of, told_finding
from testbed.explore.schedule import Schedule, ScheduleFile, decode
from testbed.explore.search import Ended, Outcome, Totals
from testbed.explore.target import Target
from testbed.findings import Finding, Searched, Summary, Verdict
from testbed.runs import RunFolder

# CHECKPOINT_CHOICES of shm_layout/explore.h.
CHECKPOINT_CHOICES = 64


class ReplayError(TestbedError):
    """There is nothing to replay."""


@dataclass(frozen=True)
class Replayed:
    """How a replay ended.

    Attributes:
        summary: of the run.
        diverged: the choice at which it went another way, from 1; None = it did not.
        reason: why, a sentence; "" if it did not.
    """

    summary: Summary
    diverged: int | None
    reason: str = ""

    def __str__(self) -> str:
        if self.diverged is None:
            return "replayed"
        where = f"diverged at choice {self.diverged}" if self.diverged else "ended otherwise"
        return f"{where}: {self.reason}"


def replay(
    target: Target, options: ExploreOptions, schedule: Schedule,
    expected: ScheduleFile | None = None, folder: RunFolder | None = None,
) -> Replayed:  # fmt: skip
    """Do the run of `schedule`.

    Args:
        target: what it is a run of.
        options: as the search had them.
        schedule: the choices; one that does not apply is a divergence.
        expected: what is known of the run, to be compared.
        folder: gets the finding that it ends with.
    """
    search = for_one_run(options)
    with opened(target, search) as (world, pool):
        core = world.core
        result = _run(pool, search, schedule)
        reason = _difference(result, core.build_id, expected)
        outcome = _outcome(result)
        reader = Reader(core, facts_of(target, search, core), world.check, world.regions())
        finding = None
        if result.end == "failed" and not reason:
            finding = told_finding(reader, result, search)
    if finding is not None and folder is not None:
        folder.write_finding(finding)
    found = () if finding is None else (finding,)
    summary = summary_of(target, search, core, outcome, found)
    return Replayed(
        _judged(summary, result, reason), _place(result, expected) if reason else None, reason
    )


def for_one_run(options: ExploreOptions) -> ExploreOptions:
    """Return `options` for one run by one process."""
    return replace(options, search=replace(options.search, processes=1, all_findings=False))


def _run(pool: Pool, options: ExploreOptions, schedule: Schedule) -> Result:
    search = options.search
    flags = search.flags("show", "strict") - {"all", "check"}
    return pool.one().do(search.job("replay", "replay", schedule=schedule, flags=flags))


def _difference(result: Result, build_id: str, expected: ScheduleFile | None) -> str:
    """Return why a run is not the one that was expected, "" if it is."""
    other_build = expected is not None and expected.build_id != build_id
    build = (
        "it is of another build: sources, macros, patches, compiler or its flags have changed"
        if other_build else ""
    )
    own = build or "the program depends on something that is not part of its schedule"
    if result.end == "diverged":
        return build or "the choice that the schedule has there does not exist in this program"
    if expected is None:
        return ""
    if _first_difference(result, expected) is not None:
        return own
    if (result.end, result.signature) != (expected.end, expected.signature) and expected.end:
        return f"the run {_ended(result.end)}, and then it {_ended(expected.end)}; {own}"
    return ""


def _ended(end: str) -> str:
    words = {"passed": "passed", "failed": "failed", "assumed": "ended at an assumption",
             "bound": "was stopped at the step bound"}  # fmt: skip
    return words.get(end, end)


def _first_difference(result: Result, expected: ScheduleFile) -> int | None:
    """Return the number of the first checkpoint that differs, from 0; None if none does."""
    pairs = zip(result.checkpoints, expected.checkpoints, strict=False)
    return next((number for number, (one, two) in enumerate(pairs) if one != two), None)


def _place(result: Result, expected: ScheduleFile | None) -> int:
    """Return the choice at which a run diverged; 0 = it went on to another end."""
    if result.end == "diverged":
        return max(result.diverged, 1)
    checkpoint = _first_difference(result, expected) if expected is not None else None
    return 0 if checkpoint is None else checkpoint * CHECKPOINT_CHOICES + 1


def _outcome(result: Result) -> Outcome:
    totals = Totals()
    totals.add(result)
    totals.seconds = result.nanoseconds / 1e9
    failed = result.end == "failed"
    return Outcome(Ended.FOUND if failed else Ended.RUNS, "replay", totals,
                   result if failed else None, None if failed else result)  # fmt: skip


def _judged(summary: Summary, result: Result, reason: str) -> Summary:
    searched = Searched("replay", False, "one schedule was run")
    if reason:
        place = f"diverged at choice {result.diverged}: " if result.diverged else ""
        return structs.replace(
            summary, verdict=Verdict.UNKNOWN, reason=f"{place}{reason}", findings=(),
            searched=searched,
        )
    return structs.replace(summary, searched=searched)


def schedule_path(report: Path, finding: Finding) -> Path:
    """Return where the schedule of a finding is kept, beside its report."""
    return report.with_name(f"{finding.signature}.schedule")


def read_schedule(path: Path) -> ScheduleFile:
    """Read a schedule file.

    Raises:
        ReplayError: it cannot be read.
        ScheduleError: it is not one.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReplayError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    return decode(data, str(path))
