"""What programs give to explore_outcome() is collected: each value, and how many runs had it."""

from __future__ import annotations

import pytest

from testbed.explore.process import Job
from testbed.explore.run import ExploreOptions, explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from tests.explore.running import PROGRAMS, exhaust, exploring

PROGRAM = PROGRAMS / "outcomes.c"


@pytest.mark.parametrize("strategy", ["sleep", "dpor"])
def test_an_exhaustive_search_has_all_outcomes_and_one_run_for_each_class(strategy: str) -> None:
    with exploring(PROGRAM) as explorer:
        result = exhaust(explorer, strategy)

    assert result.outcomes.keys() == {1, 2, 3}
    assert sum(result.outcomes.values()) == result.ends["passed"]


def test_only_runs_that_pass_have_an_outcome() -> None:
    with exploring(PROGRAM, "FAILS") as explorer:
        result = exhaust(explorer, "dpor")

    assert result.ends["failed"]
    assert result.outcomes.keys() == {2, 3}
    assert sum(result.outcomes.values()) == result.ends["passed"]


def test_the_last_word_of_a_run_counts() -> None:
    with exploring(PROGRAM, "TWICE") as explorer:
        assert exhaust(explorer, "dpor").outcomes.keys() == {1, 2, 3}


def test_a_job_begins_with_no_outcomes() -> None:
    with exploring(PROGRAM) as explorer:
        exhaust(explorer, "dpor")
        result = explorer.do(Job("search", "random", seed=1, runs=7))

    assert sum(result.outcomes.values()) == 7


def test_a_sample_and_a_check_of_it_count_each_run_once() -> None:
    check = Job("search", "random", seed=1, runs=600, flags=frozenset({"check"}))
    with exploring(PROGRAM) as explorer:
        result = explorer.do(check)

    assert result.replays
    assert sum(result.outcomes.values()) == 600


def test_the_outcomes_are_part_of_the_summary() -> None:
    summary = explore(find_target(str(PROGRAM)), ExploreOptions(SearchOptions(seed=1)))

    assert {value for value, _ in summary.outcomes} == {1, 2, 3}
