"""Choices of data: explore_choice() gives every value there is, with every order of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.cli import run
from testbed.explore.process import Job, Pending
from testbed.explore.run import ExploreOptions, opened
from testbed.explore.schedule import FIRST_PICK, OPTIONS, Intervention, Schedule, ScheduleError
from testbed.explore.search import SearchOptions
from testbed.explore.strategies import SAMPLING
from testbed.explore.target import find_target
from tests.explore.conftest import Explore
from tests.explore.running import EVERYTHING, PROGRAMS, exhaust, exploring

PROGRAM = PROGRAMS / "choices.c"
KERNEL_PROGRAM = PROGRAMS / "kernel_choices.c"
EXHAUSTIVE = ("sleep", "dpor", "stateful")
ALL = frozenset({"all"})

# Values of each thread, times which of the two comes first.
COMBINATIONS = {"": 3 * 3 * 2, "BEFORE": 4 * 3 * 3 * 2, "TWICE": 6 * 6 * 2,
                "BEFORE TWICE": 4 * 6 * 6 * 2}  # fmt: skip


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
@pytest.mark.parametrize(("defines", "combinations"), COMBINATIONS.items())
def test_every_combination_of_values_and_orders_is_explored(
    defines: str, combinations: int, strategy: str
) -> None:
    with exploring(PROGRAM, *defines.split()) as explorer:
        result = exhaust(explorer, strategy)

    assert len(result.outcomes) == combinations
    # Once each: nothing else in the program matters to anybody.
    if strategy != "stateful":
        assert result.ends["passed"] == combinations


def test_more_options_than_one_choice_has_are_all_explored() -> None:
    for strategy in EXHAUSTIVE:
        with exploring(PROGRAM, "LARGE") as explorer:
            assert set(exhaust(explorer, strategy).outcomes) == set(range(1000)), strategy


def test_a_choice_costs_no_preemption() -> None:
    job = Job("exhaust", "sleep", depth=1, runs=EVERYTHING, flags=ALL)
    with exploring(PROGRAM) as explorer:
        outcomes = explorer.do(job).outcomes

    # Without a preemption, but with all values.
    assert {value // 10 for value in outcomes} == {10 * a + b for a in range(3) for b in range(3)}


@pytest.mark.parametrize("strategy", ["sleep", "dpor"])
@pytest.mark.parametrize("parts", [2, 5, 40, 1000])
def test_the_parts_of_a_search_are_the_whole(strategy: str, parts: int) -> None:
    with exploring(PROGRAM, "BEFORE", "TWICE") as explorer:
        whole = explorer.do(Job("exhaust", strategy, runs=EVERYTHING, flags=ALL))
        split = explorer.do(Job("split", strategy, runs=parts))
        pieces = [
            explorer.do(Job("exhaust", strategy, runs=EVERYTHING, flags=ALL, prefix=prefix,
                            prefix_sleep=sleep))
            for prefix, sleep in split.prefixes
        ]  # fmt: skip

    assert any(agent >= FIRST_PICK for prefix, _ in split.prefixes for agent in prefix)
    assert all(piece.complete for piece in pieces)
    assert sum(piece.ends["passed"] for piece in pieces) == whole.ends["passed"]
    outcomes = [value for piece in pieces for value in piece.outcomes]
    assert len(outcomes) == len(set(outcomes)) == len(whole.outcomes)


@pytest.mark.parametrize("strategy", [one for one in SAMPLING if one != "round-robin"])
def test_a_sample_finds_what_is_rare_and_comes_back(strategy: str) -> None:
    """Each run is done again by its schedule, and found the same."""
    check = frozenset({"check", "all"})
    with exploring(PROGRAM, "BEFORE", "TWICE") as explorer:
        result = explorer.do(Job("search", strategy, seed=1, runs=30_000, flags=check))
        again = explorer.do(Job("search", strategy, seed=1, runs=30_000, flags=check))

    assert result.end == "passed"
    assert result.replays
    assert len(result.outcomes) == COMBINATIONS["BEFORE TWICE"]
    assert result.outcomes == again.outcomes


def test_what_is_the_default_is_said_by_nobody() -> None:
    with exploring(PROGRAM, "BEFORE", "TWICE") as explorer:
        for strategy in ("round-robin", "replay"):
            job = Job("search" if strategy != "replay" else "replay", strategy, seed=1, runs=3)
            assert set(explorer.do(job).outcomes) <= {0, 1}, strategy


def test_each_option_has_a_schedule_and_a_replay_takes_it() -> None:
    flags = frozenset({"strict"})
    with exploring(PROGRAM, "BEFORE") as explorer:
        for text, outcome in (
            ("1:", 0), ("1:0@0p3", 3000), ("1:1@0p2", 200), ("1:0@0p1,1@0p2,2@0p1", 1210),
        ):  # fmt: skip
            result = explorer.do(Job("replay", "replay", schedule=Schedule.parse(text),
                                     flags=flags))  # fmt: skip
            assert result.outcomes == {outcome: 1}, text
            assert result.schedule == Schedule.parse(text)
    with exploring(PROGRAM, "LARGE") as explorer:
        # Two choices with nothing between them: the first of them, the second of them, both.
        for text, outcome in (("1:0@0p1", 64), ("1:0@0p0,0@0p1", 1), ("1:0@0p2,0@0p3", 131)):
            result = explorer.do(Job("replay", "replay", schedule=Schedule.parse(text),
                                     flags=flags))  # fmt: skip
            assert result.outcomes == {outcome: 1}, text
            assert result.schedule == Schedule.parse(text)


@pytest.mark.parametrize("text", ["1:0@0p4", "1:0@1p1", "1:0@0p1,0@0p1"])
def test_an_option_that_is_not_there_is_a_divergence_or_passed_over(text: str) -> None:
    job = Job("replay", "replay", schedule=Schedule.parse(text))
    with exploring(PROGRAM, "BEFORE") as explorer:
        strict = explorer.do(Job("replay", "replay", schedule=job.schedule,
                                 flags=frozenset({"strict"})))  # fmt: skip
        lenient = explorer.do(job)

    assert strict.end == "diverged"
    assert lenient.end == "passed"
    assert len(lenient.schedule) < len(job.schedule)


def test_what_is_left_of_a_schedule_is_the_options_and_the_order_that_it_takes(
    explore: Explore,
) -> None:
    for strategy in ("random", "dpor", "stateful"):
        found = explore(PROGRAM, defines=("RARE",), strategy=strategy)
        options = [one for one in found.story.interventions if "takes option" in one]

        assert options == ["after 0 operations, CPU 1 takes option 2 of its data",
                           "after 0 operations, CPU 2 takes option 1 of its data"]  # fmt: skip
        assert found.interventions == 3
        told = [(step.cpu, step.text) for step in found.story.steps if step.kind == "pick"]
        assert told == [(1, "takes option 2 of 3"), (2, "takes option 1 of 3")]
        assert "the run passes" in "\n".join(found.story.why)


def test_a_high_option_is_lowered_to_one_that_suffices() -> None:
    schedule = Schedule.parse("1:0@0p3,1@0p2,2@0p1,n@0d2")
    with exploring(PROGRAM, "RARE", "BEFORE") as explorer:
        result = explorer.do(Job("minimize", "replay", schedule=schedule))

    assert result.end == "failed"
    assert all(one.cpu != 0 for one in result.schedule.interventions)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_number_of_processes_changes_nothing(explore: Explore, processes: int) -> None:
    found = explore(PROGRAM, defines=("RARE",), strategy="portfolio", processes=processes)

    assert found.story.schedule == "1:1@0p2,2@0p1,n@0d2"


def test_a_report_with_options_is_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    assert run(["explore", str(PROGRAM), "-D", "RARE", "--seed", "1"]) == 1
    (report,) = (tmp_path / "runs").glob("*-explore-*/findings/????????????.json")

    assert run(["replay", str(report)]) == 1
    assert capsys.readouterr().out.endswith("replayed\n")


def test_a_strategy_in_python_is_asked_for_data_as_for_agents() -> None:
    asked: list[list[Pending]] = []

    def choose(enabled: list[int], _current: int, pending: dict[int, Pending]) -> int:
        if enabled[0] < FIRST_PICK:
            return enabled[0]
        asked.append([pending[agent] for agent in enabled])
        return enabled[-1]

    options = ExploreOptions(SearchOptions(seed=1, choose=choose))  # type: ignore[arg-type]
    with opened(find_target(str(PROGRAM)), options) as (_, pool):
        result = pool.one().do(Job("search", "python", runs=1))

    assert asked == [[Pending("pick", n, 3) for n in range(3)]] * 2
    assert {value // 10 for value in result.outcomes} == {22}


@pytest.mark.parametrize("strategy", EXHAUSTIVE)
def test_tasks_and_interrupts_choose_what_the_rest_of_a_kernel_cannot(strategy: str) -> None:
    options = ExploreOptions(SearchOptions(seed=1))
    with opened(find_target(str(KERNEL_PROGRAM)), options) as (_, pool):
        result = pool.one().do(Job("exhaust", strategy, runs=EVERYTHING, buffer=8, flags=ALL))

    assert result.complete
    assert result.ends["failed"] == 0
    assert set(result.outcomes) == set(range(3 * 2 * 2 * 2))


PICKS = st.builds(Intervention, st.integers(0, 15), st.integers(0, 2**32 - 1),
                  st.integers(FIRST_PICK, FIRST_PICK + OPTIONS - 1))  # fmt: skip


@given(st.builds(Schedule, st.lists(PICKS).map(tuple)))
def test_options_are_read_as_they_were_written(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule
    assert len(schedule.told()) == len(schedule.bursts())


def test_an_option_out_of_range_is_told() -> None:
    with pytest.raises(ScheduleError, match="out of range; there are 16 CPUs and 64 options"):
        Schedule.parse("1:1@0p64")
