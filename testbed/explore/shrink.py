"""From a failing run to the smallest schedule that fails in the same way.

Several failing runs are made smaller, since a small schedule of one bug may lie far from another
run's; the smallest counts. Which runs are tried follows from the seed alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from testbed.explore.process import Pool, Result
from testbed.explore.search import BATCH, SearchOptions
from testbed.kinds import Kind, kind_of

# Failing runs that are made smaller, and batches in which they are looked for.
SEEDS = 8
BATCHES = 16

# Of runs with more operations than this, fewer: making one of them smaller takes seconds.
LONG = 300
SEEDS_OF_LONG = 3

# Where runs are so long that this does not suffice, what there is must do, s.
OTHERS_S = 5.0
MINIMIZE_S = 20.0

# Operations of a circle that are shown.
CIRCLE_STEPS = 32


def shrink(pool: Pool, options: SearchOptions, failure: Result) -> Result:
    """Return the result of replaying the smallest schedule, with its events.

    Args:
        pool: who does it.
        options: of the search that found `failure`.
        failure: the first failing run.
    """
    if goes_in_circles(failure):
        return _way_in(pool, options, failure)
    best = failure
    if not _takes_long(failure):
        found = [failure, *_others(pool, options, failure)]
        best = min(_minimized(pool, options, found), key=_size)
    if best.shown.size:
        return best
    flags = options.flags("show") - {"all", "check"}
    job = options.job("replay", "replay", schedule=best.schedule, flags=flags)
    return pool.one().do(job)


def goes_in_circles(failure: Result) -> bool:
    """Tell whether a finding is about all schedules from some state on, and not about one run."""
    record: Any = failure.finding
    return kind_of(int(record["kind"])) is Kind.LIVELOCK


def _way_in(pool: Pool, options: SearchOptions, failure: Result) -> Result:
    """Return the run that came to a state without a way out, and some steps of the circle."""
    flags = options.flags("show") - {"all", "check", "races"}
    steps = min(failure.longest + CIRCLE_STEPS, options.max_steps)
    job = options.job(
        "replay", "replay", schedule=failure.schedule, flags=flags, max_steps=steps
    )
    shown = pool.one().do(job)
    return replace(
        shown, end=failure.end, signature=failure.signature, finding=failure.finding,
        waiting=failure.waiting,
    )  # fmt: skip


def _takes_long(failure: Result) -> bool:
    """Tell whether a failing run is known by the clock: each replay of it takes seconds."""
    record: Any = failure.finding
    return kind_of(int(record["kind"])) is Kind.NO_PROGRESS


def _size(one: Result) -> tuple[int, int, str]:
    return len(one.schedule.bursts()), len(one.schedule), str(one.schedule)


def _minimized(pool: Pool, options: SearchOptions, found: Sequence[Result]) -> list[Result]:
    """Return each of `found` made smaller, or as it was if that does not work."""
    flags = options.flags("show") - {"all", "check"}
    jobs = [
        options.job(
            "minimize", "replay", schedule=one.schedule, signature=found[0].signature, flags=flags
        )
        for one in found
    ]
    smaller = list(found)
    deadline = time.monotonic() + MINIMIZE_S
    for number, made in pool.each(jobs, lambda: _stop(pool, deadline)):
        if made.end == "failed" and made.signature == found[0].signature:
            smaller[number] = made
    return smaller


def _stop(pool: Pool, deadline: float) -> None:
    if time.monotonic() > deadline:
        pool.stop_after(-1)


def _others(pool: Pool, options: SearchOptions, failure: Result) -> list[Result]:
    """Return other runs of the portfolio that fail in the same way."""
    first = (failure.failing_run or 0) + 1
    starts = [(first // BATCH + number + 1) * BATCH for number in range(BATCHES)]
    flags = options.flags() - {"all", "check"}
    jobs = [
        options.job("search", "portfolio", first_run=start, runs=BATCH, flags=flags)
        for start in starts
    ]
    deadline = time.monotonic() + OTHERS_S
    found = [
        (number, result) for number, result in pool.each(jobs, lambda: _stop(pool, deadline))
        if result.end == "failed" and result.signature == failure.signature
    ]  # fmt: skip
    most = SEEDS if failure.longest <= LONG else SEEDS_OF_LONG
    return [result for _, result in sorted(found, key=lambda row: row[0])[: most - 1]]
