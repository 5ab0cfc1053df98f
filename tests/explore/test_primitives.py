"""The kernel's primitives, unchanged: silent as they are, and found out with a bug put back.

What is small enough is searched to the end; the rest by so many runs of the portfolio.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.explore import shrink
from testbed.explore.run import ExploreOptions, explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Summary, Verdict
from testbed.harness import stress_folder
from testbed.zoo import Entry, entries, explored

PRIMITIVES = stress_folder() / "primitives"

# Every schedule is searched, in a few seconds.
EXHAUSTED = (
    "completion",
    "completion_irq",
    "cross_call_busy",
    "cross_call_lock",
    "cross_call_two",
    "device",
    "irq_work",
    "mutex",
    "nmi_log",
    "refcount_lock",
    "rwlock",
    "seqcount_latch",
    "seqcount_mutex",
    "seqlock",
    "spinlock",
    "srcu",
    "srcu_locked",
    "srcu_two",
    "text_poke",
    "timer",
    "wake_up",
    "workqueue",
)

# Every schedule with one choice that is not the default, in a second each.
BOUNDED = (
    "rcu_tasks",
    "rcu_tasks_exit",
    "rcu_tasks_rude",
    "rcu_tasks_sleep",
    "rcu_tasks_trace",
    "rcu_tasks_trace_unlock",
)

# Schedules that are tried of the others; those with a bug fail much earlier.
RUNS = 2_000
# Of those with long runs: workers, and interrupts of every CPU.
RUNS_OF_LONG = 300
LONG = ("srcu_acceleration", "srcu_asks_again", "srcu_callbacks", "srcu_cleanup", "srcu_nested",
        "srcu_under_way", "srcu_updown",
        "hotplug_call", "hotplug_gone", "hotplug_poke", "hotplug_rcu", "hotplug_srcu",
        "hotplug_states", "hotplug_stop", "hotplug_timer", "hotplug_wake",
        "rcu_tasks_callbacks", "rcu_tasks_rude_hotplug")  # fmt: skip
RUNS_WITH_BUG = 100_000

# Longer than anything here takes on a busy machine.
PATIENCE_S = 300.0


def search_options(executions: int, strategy: str = "portfolio") -> SearchOptions:
    return SearchOptions(seed=1, runs=executions, duration_s=PATIENCE_S, strategy=strategy)


def searched(file: Path, executions: int, strategy: str = "portfolio") -> Summary:
    return explore(find_target(str(file)), ExploreOptions(search_options(executions, strategy)))


@pytest.fixture(autouse=True)
def one_failing_run_is_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep it short: here it only counts that a bug is found, and as what."""
    monkeypatch.setattr(shrink, "SEEDS", 1)
    monkeypatch.setattr(shrink, "SEEDS_OF_LONG", 1)


@pytest.mark.parametrize("name", EXHAUSTED)
def test_a_primitive_is_silent_in_every_schedule(name: str) -> None:
    summary = searched(PRIMITIVES / f"{name}.c", 1 << 40, "dpor")

    assert summary.findings == ()
    assert summary.verdict is Verdict.HELD
    assert summary.searched is not None
    assert summary.searched.complete


@pytest.mark.parametrize("name", BOUNDED)
def test_a_primitive_is_silent_in_every_schedule_near_the_default(name: str) -> None:
    options = replace(search_options(1 << 40, "dpor"), delay_bound=1)
    summary = explore(find_target(str(PRIMITIVES / f"{name}.c")), ExploreOptions(options))

    assert summary.findings == ()
    assert summary.searched is not None
    assert summary.searched.complete


# Every fourth: each is a core to build. All of them are in `testbed explore --list`.
OTHERS = sorted(path.stem for path in PRIMITIVES.glob("*.c") if path.stem not in EXHAUSTED)[::4]


@pytest.mark.parametrize("name", OTHERS)
def test_a_primitive_is_silent_in_many_schedules(name: str) -> None:
    runs = RUNS_OF_LONG if name in LONG else RUNS

    assert searched(PRIMITIVES / f"{name}.c", runs).findings == ()


def name_of(entry: Entry) -> str:
    return entry.name


# Every 24th: each is a core to build. `testbed zoo --virtual` looks for all of them.
OF_PRIMITIVES = [
    entry for entry in entries(mode="virtual") if entry.bug.explore.startswith("primitives/")
][::24]


@pytest.mark.parametrize("entry", OF_PRIMITIVES, ids=name_of)
def test_a_bug_that_is_put_back_is_found(entry: Entry) -> None:
    summary = explored(entry, search_options(RUNS_WITH_BUG))

    (finding,) = summary.findings
    assert finding.kind in entry.bug.kinds
