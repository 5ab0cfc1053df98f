"""Tracers come and go under whoever calls what they trace: silent, and found out with a bug."""

from dataclasses import replace

import pytest

from testbed.explore import shrink
from testbed.explore.run import ExploreOptions, explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Verdict
from testbed.harness import harnesses, stress_folder
from testbed.zoo import Entry, entries, explored

TRACING = stress_folder() / "tracing"
PROGRAMS = sorted(path.stem for path in TRACING.glob("*.c"))

# Schedules that are tried; most of those with a bug fail much earlier.
RUNS = 500
RUNS_WITH_BUG = 20_000

SEARCH = SearchOptions(seed=1, runs=RUNS, duration_s=300.0, ticks=1, strategy="portfolio")


@pytest.fixture(autouse=True)
def one_failing_run_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep it short: here it only counts that a bug is found, and as what."""
    monkeypatch.setattr(shrink, "SEEDS", 1)
    monkeypatch.setattr(shrink, "SEEDS_OF_LONG", 1)


@pytest.mark.parametrize("name", PROGRAMS)
def test_tracing_is_silent_in_many_schedules(name: str) -> None:
    summary = explore(find_target(str(TRACING / f"{name}.c")), ExploreOptions(SEARCH))

    assert summary.findings == ()


@pytest.mark.parametrize(
    "name", [one.name for one in harnesses() if one.path.name == "tracing.py"]
)
def test_a_scenario_of_tracing_is_silent_in_many_schedules(name: str) -> None:
    summary = explore(find_target(name), ExploreOptions(replace(SEARCH, runs=300)))

    assert summary.findings == ()


def test_a_tracer_that_goes_is_silent_in_every_schedule_of_a_small_bound() -> None:
    bounded = replace(SEARCH, runs=1 << 40, delay_bound=1, strategy="dpor")
    summary = explore(find_target(str(TRACING / "trampoline.c")), ExploreOptions(bounded))

    assert summary.findings == ()
    assert summary.verdict is Verdict.HELD
    assert summary.searched is not None
    assert summary.searched.complete


# Every fifth: each is a core to build. `testbed zoo --virtual` looks for all of them.
BUGS = [
    entry for entry in entries(mode="virtual") if entry.bug.explore.startswith("tracing/")
][::5]


@pytest.mark.parametrize("entry", BUGS, ids=lambda entry: entry.name)
def test_a_bug_that_is_put_back_is_found(entry: Entry) -> None:
    summary = explored(entry, replace(SEARCH, runs=RUNS_WITH_BUG, ticks=0))

    (finding,) = summary.findings
    assert finding.kind in entry.bug.kinds
