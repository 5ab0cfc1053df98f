"""From a failing run to the smallest schedule that fails in the same way.

Several failing runs are made smaller, since a small schedule of one bug may lie far from another
run's; the smallest counts. Which runs are tried follows from the seed alone.
"""

from __future__ import annotations

from testbed.errors import MachineUnable
from testbed.explore.process import Pool, Result
from testbed.explore.search import BATCH, SearchOptions

# Failing runs that are made smaller, and batches in which they are looked for.
SEEDS = 8
BATCHES = 16


def shrink(pool: Pool, options: SearchOptions, failure: Result) -> Result:
    """Return the result of replaying the smallest schedule, with its events.

    Args:
        pool: who does it.
        options: of the search that found `failure`.
        failure: the first failing run.
    """
    found = [failure, *_others(pool, options, failure)]
    smaller = [_minimized(pool, options, one, failure.signature) for one in found]
    best = min(smaller, key=_size)
    if best.shown.size:
        return best
    flags = options.flags("show") - {"all", "check"}
    job = options.job("replay", "replay", schedule=best.schedule, flags=flags)
    return pool.one().do(job)


def _size(one: Result) -> tuple[int, int, str]:
    return len(one.schedule.bursts()), len(one.schedule), str(one.schedule)


def _minimized(pool: Pool, options: SearchOptions, one: Result, signature: int) -> Result:
    flags = options.flags("show") - {"all", "check"}
    job = options.job(
        "minimize", "replay", schedule=one.schedule, signature=signature, flags=flags
    )
    try:
        made = pool.one().do(job)
    except MachineUnable:
        return one
    return made if made.end == "failed" and made.signature == signature else one


def _others(pool: Pool, options: SearchOptions, failure: Result) -> list[Result]:
    """Return other runs of the portfolio that fail in the same way."""
    first = (failure.failing_run or 0) + 1
    starts = [(first // BATCH + number + 1) * BATCH for number in range(BATCHES)]
    flags = options.flags() - {"all", "check"}
    jobs = [
        options.job("search", "portfolio", first_run=start, runs=BATCH, flags=flags)
        for start in starts
    ]
    found = [
        (number, result) for number, result in pool.each(jobs)
        if result.end == "failed" and result.signature == failure.signature
    ]  # fmt: skip
    return [result for _, result in sorted(found, key=lambda row: row[0])[: SEEDS - 1]]
