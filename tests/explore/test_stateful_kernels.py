"""The search by states on kernels: silent where it should be, and of one mind with the others.

While it decides, every CPU stands still: what is at fault in that shows as a finding that does not
come back.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.explore.process import Job, Result
from testbed.explore.run import ExploreOptions, opened
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.harness import stress_folder
from tests.explore.running import EVERYTHING, PROGRAMS

PRIMITIVES = stress_folder() / "primitives"
ALL = frozenset({"all"})

# What has more states is searched as far as this.
RUNS = 2_000


def searched(
    file: Path, *strategies: str, runs: int = EVERYTHING, buffer: int = 8, defines: str = ""
) -> list[Result]:
    flags = frozenset({"all"} if buffer else {"all", "sc"})
    options = ExploreOptions(SearchOptions(seed=1), defines=tuple(defines.split()))
    with opened(find_target(str(file)), options) as (_, pool):
        return [
            pool.one().do(Job("exhaust", strategy, runs=runs, buffer=buffer, flags=flags))
            for strategy in strategies
        ]


# Every sixth: what all of them do is asked by test_primitives.
SOME = sorted(path.stem for path in PRIMITIVES.glob("*.c"))[::6]


@pytest.mark.parametrize("name", SOME)
def test_a_primitive_is_silent_in_all_states_that_are_met(name: str) -> None:
    (result,) = searched(PRIMITIVES / f"{name}.c", "stateful", runs=RUNS)

    assert result.ends["failed"] == result.ends["diverged"] == result.ends["bound"] == 0
    assert result.ends["passed"]


@pytest.mark.parametrize("name", ["spinlock", "completion_irq", "cross_call_two"])
def test_a_small_primitive_has_no_other_states(name: str) -> None:
    (result,) = searched(PRIMITIVES / f"{name}.c", "stateful", buffer=0)

    assert result.complete
    assert result.ends["failed"] == 0


@pytest.mark.parametrize(
    "defines", ["", "INCREMENT", "INTERRUPTS_OFF", "NESTED", "PREEMPTION_OFF", "ITSELF"]
)
def test_what_a_kernel_can_come_to_is_what_all_searches_say(defines: str) -> None:
    results = searched(
        PROGRAMS / "interrupted.c", "sleep", "dpor", "stateful", defines=defines
    )

    assert all(result.complete and not result.ends["failed"] for result in results)
    assert len({tuple(sorted(result.outcomes)) for result in results}) == 1
    assert len(results[0].outcomes) >= 1


def test_the_same_search_meets_the_same_states_again() -> None:
    first, second = searched(
        PRIMITIVES / "completion_irq.c", "stateful", "stateful", runs=RUNS, buffer=2
    )

    assert (first.states, first.ends) == (second.states, second.ends)
