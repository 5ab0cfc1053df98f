"""scf_torture: calls of every kind, some that take long, while CPUs go down and come up."""

from testbed.findings import Verdict
from testbed.harness import load
from testbed.stress import RunOptions, run


def test_every_call_is_made_once_and_waited_for_while_cpus_go_and_come() -> None:
    harness = load("scf_torture")
    extra = {option.name: option.default for option in harness.options}
    extra |= {"longwait": 1, "cpus_read_lock": True, "onoff_interval": 5}
    summary = run(harness, RunOptions(cpus=3, seed=1, duration_s=1.0, extra=extra))

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["CPUs taken down"] > 1
    calls = ("resched", "single", "single rpc", "single wait", "many", "many wait", "all",
             "all wait", "chain", "stop")  # fmt: skip
    assert all(summary.counters[call] for call in calls), summary.counters
