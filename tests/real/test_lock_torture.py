"""lock_torture: every kind of lock holds under load, in one machine; no lock at all does not."""

from typing import Any

from testbed.findings import Summary, Verdict
from testbed.harness import load
from testbed.kinds import Kind
from testbed.stress import RunOptions, run

HARNESS = load("lock_torture")


def tortured(seconds: float, **own: Any) -> Summary:
    extra = {option.name: option.default for option in HARNESS.options} | own
    return run(HARNESS, RunOptions(cpus=3, seed=1, duration_s=seconds, extra=extra))


def test_every_kind_of_lock_keeps_its_word_and_is_had_by_every_task() -> None:
    summary = tortured(1.0, lock="all", pause=2000)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    least = {name: count for name, count in summary.counters.items() if name.endswith("least")}
    assert len(least) == 12
    assert all(least.values()), least
    assert summary.counters["taken in interrupts"]
    assert summary.counters["downgrades"]
    assert summary.counters["readers at once, most"] > 1


def test_what_locks_nothing_is_caught() -> None:
    summary = tortured(10.0, lock="busted")

    assert summary.verdict is Verdict.VIOLATED
    assert summary.findings[0].kind is Kind.CLAIM
