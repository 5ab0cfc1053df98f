"""A run is its schedule, however often, by whomever and by whatever strategy it was found."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.build import Core
from testbed.explore.process import Explorer, Job, Pool, Result
from testbed.explore.schedule import Schedule
from testbed.explore.search import Ended, Search, SearchOptions
from tests.explore.conftest import kept
from tests.explore.litmus import SELECTOR, Litmus, Outcome, c_program, outcome_hash, parse_litmus
from tests.explore.litmus_programs import programs
from tests.explore.running import built, exhaust
from tests.explore.tso_oracle import outcomes

BATCH = 12
RUNS = 4096

deterministic = settings(max_examples=3, deadline=None, derandomize=True)


@st.composite
def claims(draw: st.DrawFn) -> tuple[Litmus, Outcome]:
    """Return programs that claim not to have an outcome that they have, among others."""
    litmus = draw(programs())
    all_of_them = sorted(outcomes(litmus, depth=8))
    return litmus, all_of_them[draw(st.integers(0, len(all_of_them) - 1))]


batches = st.lists(claims(), min_size=BATCH // 2, max_size=BATCH)


def core_of(batch: list[tuple[Litmus, Outcome]]) -> Core:
    text = c_program(*map(list, zip(*batch, strict=True)))
    return built(kept({"claims.c": text}) / "claims.c")


def replay(explorer: Explorer, schedule: Schedule) -> Result:
    return explorer.do(Job("replay", "replay", schedule=schedule, flags=frozenset({"strict"})))


@deterministic
@given(batches, st.sampled_from(["portfolio", "random", "pct", "pos", "surw"]), st.integers(0, 99))
def test_a_found_run_is_its_schedule_and_a_smaller_one_fails_the_same_way(
    batch: list[tuple[Litmus, Outcome]], strategy: str, seed: int
) -> None:
    core = core_of(batch)
    with pytest.MonkeyPatch.context() as environment:
        for number in range(len(batch)):
            environment.setenv(SELECTOR, str(number))
            with Explorer(core) as finder, Explorer(core) as other:
                found = finder.do(Job("search", strategy, seed=seed, runs=RUNS))
                again = replay(other, found.schedule)
                assert (again.end, again.signature) == (found.end, found.signature)
                assert again.schedule == found.schedule
                if found.end == "failed":
                    small = minimized(finder, found)
                    assert len(small.schedule) <= len(found.schedule)
                    once_more = replay(other, small.schedule)
                    assert once_more.end == "failed"
                    assert once_more.signature == found.signature


def minimized(explorer: Explorer, found: Result) -> Result:
    job = Job("minimize", "replay", schedule=found.schedule, signature=found.signature)
    small = explorer.do(job)
    assert (small.end, small.signature) == ("failed", found.signature)
    return small


@deterministic
@given(batches, st.integers(0, 99))
def test_a_run_that_passes_comes_to_the_same_outcome_again(
    batch: list[tuple[Litmus, Outcome]], seed: int
) -> None:
    core = core_of(batch)
    with pytest.MonkeyPatch.context() as environment:
        for number, (litmus, _) in enumerate(batch):
            environment.setenv(SELECTOR, str(number))
            possible = {outcome_hash(litmus, one) for one in outcomes(litmus, depth=8)}
            with Explorer(core) as explorer:
                for run in range(8):
                    one = Job("search", "random", seed=seed, first_run=run, runs=1)
                    found = explorer.do(one)
                    again = replay(explorer, found.schedule)
                    assert again.outcomes == found.outcomes
                    assert found.outcomes.keys() <= possible


@deterministic
@given(batches, st.sampled_from([8, 2, 1, 0]))
def test_both_reductions_make_one_run_for_each_class(
    batch: list[tuple[Litmus, Outcome]], buffer: int
) -> None:
    core = core_of(batch)
    with pytest.MonkeyPatch.context() as environment:
        for number in range(len(batch)):
            environment.setenv(SELECTOR, str(number))
            with Explorer(core) as explorer:
                sleep, dpor = (exhaust(explorer, one, buffer) for one in ("sleep", "dpor"))
            assert sleep.ends["passed"] == dpor.ends["passed"]
            assert sleep.ends["failed"] == dpor.ends["failed"]


@deterministic
@given(batches, st.integers(0, 99))
def test_the_number_of_processes_changes_nothing(
    batch: list[tuple[Litmus, Outcome]], seed: int
) -> None:
    core = core_of(batch)
    with pytest.MonkeyPatch.context() as environment:
        for number in range(0, len(batch), 3):
            environment.setenv(SELECTOR, str(number))
            told = [searched(core, seed, processes) for processes in (1, 2, 5)]
            assert told[0] == told[1] == told[2]


def searched(core: Core, seed: int, processes: int) -> tuple[object, ...]:
    """Return what of a search must not depend on who made it."""
    options = SearchOptions(seed, processes, "portfolio", runs=RUNS)
    with Pool(lambda index: Explorer(core, index), processes) as pool:
        outcome = Search(pool, options).run()
    totals, failure = outcome.totals, outcome.failure
    counts = totals.executions, totals.ends, totals.decisions, totals.steps, totals.outcomes
    if failure is None:
        return outcome.ended, counts
    return outcome.ended, counts, failure.failing_run, failure.schedule, failure.signature


@pytest.mark.parametrize("strategy", ["portfolio", "weighted", "pct", "pos", "surw"])
def test_what_is_replayed_while_it_is_searched_is_the_same(strategy: str) -> None:
    threads = [["store2 x 0x0101", "r0 = load4 x", "r1 = load4 y"], ["store4 y 1", "r2 = add4 x 2"]]
    litmus = parse_litmus("checked", threads, ["r0", "r1", "r2", "load8 x"])
    core = core_of([(litmus, min(outcomes(litmus)))])
    options = SearchOptions(1, 1, strategy, runs=RUNS, check=True, all_findings=True)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(SELECTOR, "0")
        with Pool(lambda index: Explorer(core, index), 1) as pool:
            outcome = Search(pool, options).run()

    assert outcome.ended is Ended.RUNS
    assert outcome.totals.checked
    assert outcome.totals.ends["failed"]
