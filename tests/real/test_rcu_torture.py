"""Torture of RCU: every flavour holds, and those that are broken on purpose do not."""

import pytest

from testbed.harness import load
from testbed.stress import RunOptions, run

HARNESS = load("rcu_torture")
FLAVOURS = next(option for option in HARNESS.options if option.name == "flavor").choices
BUSTED = tuple(flavour for flavour in FLAVOURS if flavour.startswith("busted"))


def options(flavour: str, duration_s: float, **values: object) -> RunOptions:
    own = {option.name: option.default for option in HARNESS.options} | {"flavor": flavour} | values
    return RunOptions(cpus=2, seed=1, duration_s=duration_s, extra=own)


@pytest.mark.parametrize("flavour", [one for one in FLAVOURS if one not in BUSTED])
def test_no_reader_of_a_flavour_outlives_a_grace_period(flavour: str) -> None:
    summary = run(HARNESS, options(
        flavour, 0.8, stutter=100, shuffle=100, stall_cpu=20, onoff_interval=30,
    ))  # fmt: skip

    assert summary.verdict.value == "held", summary
    counted = summary.counters
    assert counted["reads"]
    assert counted["elements replaced"]


def test_cpus_go_and_readers_keep_theirs() -> None:
    summary = run(HARNESS, options(
        "rcu", 2.0, stutter=0, shuffle=0, stall_cpu=20, stall_every=50, onoff_interval=30,
    ))  # fmt: skip

    assert summary.verdict.value == "held", summary
    assert summary.counters["stalls injected"]
    assert summary.counters["CPUs taken down"]


@pytest.mark.parametrize("flavour", BUSTED)
def test_a_flavour_that_does_not_wait_is_caught(flavour: str) -> None:
    summary = run(HARNESS, options(flavour, 20.0))

    assert [finding.kind.value for finding in summary.findings] == ["old-element"]
