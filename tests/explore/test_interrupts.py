"""Interrupts and ticks come wherever they can: no search leaves out a place that matters.

Each program has the outcomes that follow from where its tasks can be interrupted and preempted,
and nothing else. A full buffer and no buffers at all are cases of their own: what a CPU does when
it has waited for its buffer is no choice.
"""

from __future__ import annotations

import pytest

from testbed.explore.process import Job, Result
from testbed.explore.target import build_target, find_target
from testbed.explore.world import World
from tests.explore.running import EVERYTHING, PROGRAMS

ANY_PREEMPTIONS = 64

# Without a reduction there may be more runs than anybody wants to wait for; sleep sets alone have
# many that are cut.
ENOUGH = 20_000
ENOUGH_CUT = 30_000

CASES = [
    ("preempted", "INCREMENT", 0, {2}),
    ("preempted", "INCREMENT", 1, {1, 2}),
    ("preempted", "INCREMENT PREEMPTION_OFF", 1, {2}),
    ("preempted", "INCREMENT INTERRUPTS_OFF", 1, {2}),
    ("preempted", "", 0, {3}),
    ("preempted", "", 1, {0, 1, 2, 3}),
    ("preempted", "PREEMPTION_OFF", 1, {0, 3}),
    ("preempted", "INTERRUPTS_OFF", 1, {0, 3}),
    ("preempted", "REMOTE", 0, {3, 10}),
    ("interrupted", "", 0, {0, 1, 2, 3}),
    ("interrupted", "PREEMPTION_OFF", 0, {0, 1, 2, 3}),
    ("interrupted", "INTERRUPTS_OFF", 0, {0, 3}),
    ("interrupted", "NESTED", 0, {0, 3}),
    # A call of one's own CPU is made at once.
    ("interrupted", "ITSELF", 0, {1}),
    ("interrupted", "ITSELF INTERRUPTS_OFF", 0, {1}),
    ("interrupted", "INCREMENT", 0, {1, 2}),
    ("interrupted", "INCREMENT INTERRUPTS_OFF", 0, {2}),
    ("nested_interrupts", "", 0, {0}),
    ("nested_interrupts", "ENABLED", 0, {0, 1, 2}),
]


def searched(world: World, job: Job) -> Result:
    with world.explorer(0) as explorer:
        result = explorer.do(job)
    assert not result.ends["failed"]
    return result


@pytest.mark.parametrize("buffer", [8, 0])
@pytest.mark.parametrize(("program", "defines", "ticks", "outcomes"), CASES)
def test_it_is_interrupted_wherever_it_can_be(
    program: str, defines: str, ticks: int, outcomes: set[int], buffer: int
) -> None:
    target = find_target(str(PROGRAMS / f"{program}.c"))
    core = build_target(target, (), tuple(defines.split()))
    flags = frozenset({"all"} if buffer else {"all", "sc"})

    def job(command: str, strategy: str, runs: int, depth: int = 0) -> Job:
        return Job(command, strategy, seed=1, depth=depth, runs=runs, flags=flags,
                   buffer=buffer, ticks=ticks)  # fmt: skip

    with World(core, target) as world:
        for strategy in ("dpor", "stateful"):
            result = searched(world, job("exhaust", strategy, EVERYTHING))
            assert result.complete
            assert result.outcomes.keys() == outcomes, strategy
        sampled = searched(world, job("search", "portfolio", ENOUGH))
        assert sampled.outcomes.keys() == outcomes
        for runs, depth in ((ENOUGH_CUT, 0), (ENOUGH, 1 + ANY_PREEMPTIONS)):
            result = searched(world, job("exhaust", "sleep", runs, depth))
            assert result.outcomes.keys() <= outcomes
            assert not result.complete or result.outcomes.keys() == outcomes
