"""Small scenarios of probes and patched text.

Silent as they are, and with mechanisms that are unusual but right; found out with a bug put back.
``testbed zoo`` puts back all of them.
"""

import pytest

from testbed.explore import shrink
from testbed.explore.run import ExploreOptions, explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Verdict
from testbed.harness import harnesses
from testbed.zoo import Entry, entries, explored, variants_folder

SMALL = sorted(one.name for one in harnesses() if one.path.name in ("patching.py", "probing.py"))

# One for each thing that can go wrong; see `testbed.zoo_bugs`.
BROKEN = (
    "handler-after-unregister",
    "nops-in-place-irqs-on",
    "poke-no-int3",
    "poke-skip-sync-after-int3",
    "register-does-not-hold-module",
    "several-insns-without-quiescence",
    "stop-machine-poke-one-cpu",
    "stop-machine-under-text-mutex",
    "trap-frame-without-gap",
    "unhash-before-disarm",
)

RUNS = 2_000
RUNS_WITH_BUG = 100_000
RUNS_OF_VARIANT = 1_000
PATIENCE_S = 300.0


def options(runs: int, ticks: int = 0) -> SearchOptions:
    return SearchOptions(
        seed=1, runs=runs, duration_s=PATIENCE_S, strategy="portfolio", ticks=ticks
    )


@pytest.mark.parametrize("name", SMALL)
def test_a_small_scenario_is_silent_in_many_schedules(name: str) -> None:
    summary = explore(find_target(name), ExploreOptions(options(RUNS)))

    assert summary.findings == ()
    assert summary.verdict is Verdict.HELD


def test_several_instructions_become_one_under_preempted_tasks() -> None:
    target = find_target("patch_several_vs_preempted")
    summary = explore(target, ExploreOptions(options(RUNS, ticks=1)))

    assert summary.findings == ()
    assert summary.verdict is Verdict.HELD


@pytest.mark.parametrize("name", BROKEN)
def test_a_bug_that_is_put_back_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Here it only counts that it is found, and as what.
    monkeypatch.setattr(shrink, "SEEDS", 1)
    monkeypatch.setattr(shrink, "SEEDS_OF_LONG", 1)
    (entry,) = entries([name])
    summary = explored(entry, options(RUNS_WITH_BUG))

    (finding,) = summary.findings
    assert finding.kind in entry.bug.kinds


def name_of(entry: Entry) -> str:
    return entry.name


# Every sixth, as each is a core to build: `testbed zoo --variants` tries all of them.
VARIANTS = entries(folder=variants_folder(), mode="virtual")[::6]


@pytest.mark.parametrize("entry", VARIANTS, ids=name_of)
def test_what_is_unusual_but_right_is_silent(entry: Entry) -> None:
    summary = explored(entry, options(RUNS_OF_VARIANT))

    assert entry.bug.expected == "held"
    assert summary.findings == ()
    assert summary.counters["executions"] == RUNS_OF_VARIANT
