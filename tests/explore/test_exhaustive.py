"""Exhaustive searches leave out only what is equal to something that they do.

What they are compared with is a search without any reduction: every schedule with as many
preemptions as one can have.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.explore.process import Explorer, Job, Result
from tests.explore.litmus import SELECTOR, Litmus, c_program
from tests.explore.litmus_programs import programs, programs_with_mutexes
from tests.explore.running import EVERYTHING, PROGRAMS, built, exhaust, exploring

ALL = frozenset({"all"})
ANY_PREEMPTIONS = 64

# More runs without a reduction than anybody wants to wait for.
TOO_MANY = 50_000


def unreduced(explorer: Explorer, buffer: int) -> Result:
    return explorer.do(
        Job("exhaust", "sleep", depth=1 + ANY_PREEMPTIONS, runs=TOO_MANY, buffer=buffer, flags=ALL)
    )


def compare(explorer: Explorer, litmus: Litmus, buffer: int) -> None:
    sleep = exhaust(explorer, "sleep", buffer)
    dpor = exhaust(explorer, "dpor", buffer)
    stateful = exhaust(explorer, "stateful", buffer)
    classes = [(one.ends["passed"], one.ends["failed"]) for one in (sleep, dpor)]
    assert classes[0] == classes[1], litmus
    assert sleep.outcomes == dpor.outcomes, litmus
    assert dpor.executions <= sleep.executions, litmus
    assert set(stateful.outcomes) == set(sleep.outcomes), litmus
    everything = unreduced(explorer, buffer)
    if everything.complete:
        assert set(everything.outcomes) == set(sleep.outcomes), litmus
        assert bool(everything.ends["failed"]) == bool(sleep.ends["failed"]), litmus


@settings(max_examples=2, deadline=None, derandomize=True)
@given(
    st.lists(st.one_of(programs(), programs_with_mutexes()), min_size=24, max_size=24),
    st.sampled_from([8, 2, 1]),
)
def test_all_exhaustive_searches_come_to_the_same(tests: list[Litmus], buffer: int) -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder) / "tests.c"
        source.write_text(c_program(tests))
        core = built(source)
    with pytest.MonkeyPatch.context() as environment:
        for number, litmus in enumerate(tests):
            environment.setenv(SELECTOR, str(number))
            with Explorer(core) as explorer:
                compare(explorer, litmus, buffer)


@pytest.mark.parametrize("strategy", ["sleep", "dpor"])
@pytest.mark.parametrize("parts", [2, 30, 1000])
def test_the_parts_of_a_search_are_the_whole(strategy: str, parts: int) -> None:
    with exploring(PROGRAMS / "srcu.c", "MISSING_B") as explorer:
        whole = explorer.do(Job("exhaust", strategy, runs=EVERYTHING, flags=ALL))
        pieces = [
            explorer.do(
                Job(
                    "exhaust",
                    strategy,
                    runs=EVERYTHING,
                    flags=ALL,
                    prefix=prefix,
                    prefix_sleep=sleep,
                )
            )
            for prefix, sleep in explorer.do(Job("split", strategy, runs=parts)).prefixes
        ]

    assert parts <= len(pieces) < 2 * parts + 2
    assert all(piece.complete for piece in pieces)
    for end in ("passed", "assumed") + ("failed", "cut") * (strategy == "sleep"):
        assert sum(piece.ends[end] for piece in pieces) == whole.ends[end]
    first = next(piece for piece in pieces if piece.failing_run is not None)
    if strategy == "sleep":
        assert first.schedule == whole.schedule
    assert first.signature == whole.signature


def test_a_loop_that_waits_is_searched_completely() -> None:
    with exploring(PROGRAMS / "peterson_spinning.c", "FENCE") as explorer:
        result = exhaust(explorer, "stateful")

    assert result.failing_run is None
    assert result.ends["bound"] == 0


def test_without_the_fence_the_loop_lets_both_in() -> None:
    with exploring(PROGRAMS / "peterson_spinning.c") as explorer:
        result = explorer.do(Job("exhaust", "stateful", runs=EVERYTHING))

    assert result.end == "failed"


@pytest.mark.parametrize(
    ("program", "right", "wrong"),
    [("wait_for_each_other", "POLITE", ""), ("lock_word", "", "FORGOTTEN")],
)
def test_where_nothing_can_end_any_more_is_found(program: str, right: str, wrong: str) -> None:
    with exploring(PROGRAMS / f"{program}.c", *right.split()) as explorer:
        assert exhaust(explorer, "stateful").failing_run is None
    with exploring(PROGRAMS / f"{program}.c", *wrong.split()) as explorer:
        result = explorer.do(Job("exhaust", "stateful", runs=EVERYTHING))

    assert result.end == "failed"
    assert result.finding is not None


def test_the_fewest_preemptions_are_tried_first() -> None:
    with exploring(PROGRAMS / "srcu.c", "MISSING_B") as explorer:
        none = explorer.do(Job("exhaust", "sleep", depth=1, runs=EVERYTHING))
        one = explorer.do(Job("exhaust", "sleep", depth=2, runs=EVERYTHING))
        three = explorer.do(Job("exhaust", "sleep", depth=4, runs=EVERYTHING))

    assert (none.failing_run, none.bounded, none.complete) == (None, True, False)
    assert one.failing_run is not None
    assert three.schedule == one.schedule


def test_an_address_in_a_buffer_makes_the_stack_behind_it_visible() -> None:
    # What is stored there later may come to memory later than the address.
    with exploring(PROGRAMS / "stack_address.c") as explorer:
        result = explorer.do(Job("exhaust", "stateful", runs=EVERYTHING))

    assert result.end == "failed"
