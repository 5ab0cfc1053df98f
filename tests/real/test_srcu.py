"""SRCU across processes: readers may sleep and move, and are waited for wherever they are."""

import pytest

from testbed.machine import Machine, State
from tests.real.conftest import MakeMachine, kinds, provoke, stack_of, wait_until

WAITS, WAITS_EXPEDITED, CALLS, POLLS, FREES_AT_ONCE = range(5)


def enter(machine: Machine, cpu: int, function: str = "srcu_hold") -> None:
    machine.spawn(cpu, function)
    assert wait_until(lambda: machine.global_("srcu_readers")["inside"][cpu])


def leave(machine: Machine, cpu: int) -> None:
    machine.global_("srcu_readers")["leave"][cpu] = 1


def updated(machine: Machine) -> bool:
    return bool(machine.global_("srcu_updated"))


def updater_waits(machine: Machine, task: int) -> bool:
    """Return True once the updater sleeps for readers."""
    srcu = machine.layout.enum("wait_kind")["WAIT_SRCU"]
    record = machine.record["task"]
    return wait_until(lambda: record["wait"]["kind"][task] == srcu)


def test_a_grace_period_waits_for_readers_that_sleep_and_for_no_later_ones(
    machine: MakeMachine,
) -> None:
    booted = machine(cpus=4)
    enter(booted, 1)
    updater = booted.spawn(0, "srcu_update")
    assert updater_waits(booted, updater)
    assert int(booted.record["task"]["wait"]["value"][updater]) == 0b10
    enter(booted, 2)
    assert not updated(booted)
    leave(booted, 1)

    assert wait_until(lambda: updated(booted))
    assert int(booted.global_("srcu_left_before")) == 0b0010
    leave(booted, 2)
    assert booted.wait(30) is State.FINISHED


def test_a_reader_may_be_ended_on_another_cpu(machine: MakeMachine) -> None:
    booted = machine(cpus=3)
    enter(booted, 1, "srcu_lend")
    updater = booted.spawn(0, "srcu_update")
    assert updater_waits(booted, updater)
    assert not updated(booted)
    booted.spawn(2, "srcu_give_back", 1)

    assert wait_until(lambda: updated(booted))
    assert int(booted.global_("srcu_left_before")) == 0b010


@pytest.mark.parametrize("cpus", [2, 8])
def test_nobody_sees_what_was_freed_after_a_grace_period(machine: MakeMachine, cpus: int) -> None:
    booted = machine(cpus=cpus)
    booted.call("srcu_publish")
    followers = [booted.spawn(cpu, "srcu_follow") for cpu in range(cpus)]
    assert followers
    assert wait_until(lambda: booted.global_("srcu_reads") > cpus)
    for how in (WAITS, WAITS_EXPEDITED, CALLS, POLLS):
        booted.spawn(cpus - 1, "srcu_replacer", 10 << 8 | how)
        assert booted.call("srcu_replace", 10, how) == 0
    booted.stop()

    assert booted.wait(30) is State.FINISHED
    assert int(booted.global_("srcu_callbacks_run")) == 20
    assert int(booted.global_("srcu_dead")) == 0
    assert booted.call("slab_audit") == 1
    assert kinds(booted) == []


def test_without_a_grace_period_somebody_sees_what_was_freed(machine: MakeMachine) -> None:
    # The twin keeps the test above honest.
    booted = machine(cpus=2, tick_us=200)
    booted.call("srcu_publish")
    for cpu in (0, 1):
        booted.spawn(cpu, "srcu_follow")
    assert wait_until(lambda: booted.global_("srcu_reads") > 0)

    assert wait_until(lambda: booted.call("srcu_replace", 500, FREES_AT_ONCE) > 0)


def test_a_reader_that_never_leaves_is_reported_with_its_domain(machine: MakeMachine) -> None:
    booted = machine(cpus=2, stall_ms=300, hang_ms=300)
    enter(booted, 1)
    booted.spawn(0, "srcu_update")

    assert booted.wait(20) is State.FROZEN
    (finding,) = booted.findings
    assert kinds(booted) == ["HANG"]
    assert int(finding["value"][2]) == booted.address_of("srcu_domain")
    assert "synchronize_srcu" in stack_of(booted, finding["here"])


@pytest.mark.parametrize("mistake", ["srcu_mix_flavors", "srcu_clean_up_early"])
def test_what_breaks_the_rules_of_a_domain_is_found(machine: MakeMachine, mistake: str) -> None:
    booted = machine(cpus=1)
    finding = provoke(booted, 0, mistake)

    assert kinds(booted) == ["BAD_STATE"]
    assert mistake in stack_of(booted, finding["here"])
