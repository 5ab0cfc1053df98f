"""A grace period ends when every reader that had begun has ended, and not before, nor later."""

from pathlib import Path

import pytest

from testbed.build import Request, build
from testbed.machine import Machine, MachineConfig, State
from testbed.paths import project_root
from testbed.testing.real import image_for
from tests.real.conftest import MakeMachine, kinds, stack_of, wait_until

READER = "read_once_told"
BLOCKED = 2  # RCU_SPECIAL_BLOCKED
RCU = "workers/kernel/rcu.c"
ZOO = project_root() / "stress" / "zoo"
DEAF = ZOO / "rcu-ignores-preempt-off.patch"


def let_in(machine: Machine, cpu: int) -> None:
    readers = machine.global_("readers")
    readers["enter"][cpu] = 1
    assert wait_until(lambda: readers["inside"][cpu])


def let_out(machine: Machine, cpu: int) -> None:
    machine.global_("readers")["leave"][cpu] = 1


def wait_for(machine: Machine, cpu: int) -> bool:
    """Return True once a grace period is under way that still waits for `cpu` alone."""
    rcu, cpus = machine.global_("rcu", RCU), machine.global_("rcu_cpus", RCU)
    needs = cpus["value"]["need_qs"]
    count = machine.config.cpus
    others = [other for other in range(count) if other != cpu]
    return wait_until(
        lambda: int(rcu["seq"]) & 3 and needs[cpu] and not needs[others].any()
    )


@pytest.mark.parametrize("reader", [READER, "read_with_interrupts_off", "read_with_preemption_off"])
def test_a_grace_period_waits_for_a_reader_that_had_begun(
    machine: MakeMachine, reader: str
) -> None:
    booted = machine(cpus=3)
    booted.spawn(1, reader)
    let_in(booted, 1)
    booted.spawn(0, "update")
    assert wait_for(booted, 1)
    assert int(booted.global_("updated")) == 0
    let_out(booted, 1)

    assert booted.wait(30) is State.FINISHED
    assert int(booted.global_("left_before")) == 0b10


def test_without_waiting_for_preemption_the_reader_is_overtaken(
    sources: tuple[Path, ...],
) -> None:
    # The twin keeps the test above honest.
    core = build(Request(patches=(DEAF,), extra=sources))
    with Machine(core, image_for(core), MachineConfig(cpus=3)) as booted:
        booted.spawn(1, "read_with_preemption_off")
        let_in(booted, 1)
        booted.spawn(0, "update")

        assert wait_until(lambda: booted.global_("updated"))
        assert int(booted.global_("left_before")) == 0
        let_out(booted, 1)


def test_a_grace_period_does_not_wait_for_a_reader_that_began_later(
    machine: MakeMachine,
) -> None:
    booted = machine(cpus=3)
    for cpu in (1, 2):
        booted.spawn(cpu, READER)
    let_in(booted, 1)
    booted.spawn(0, "update")
    assert wait_for(booted, 1)
    let_in(booted, 2)
    let_out(booted, 1)

    assert wait_until(lambda: booted.global_("updated"))
    assert int(booted.global_("left_before")) == 0b010
    let_out(booted, 2)
    assert booted.wait(30) is State.FINISHED


@pytest.mark.parametrize("cpus", [1, 4, 16])
def test_grace_periods_pass_whatever_the_cpus_do(machine: MakeMachine, cpus: int) -> None:
    booted = machine(cpus=cpus)
    assert booted.call("synchronize_often", 20) == 0
    for cpu in range(cpus):
        booted.spawn(cpu, "keep_moving")
    assert booted.call("synchronize_often", 20) == 0


def test_nobody_sees_what_was_freed_after_a_grace_period(machine: MakeMachine) -> None:
    booted = machine(cpus=4)
    booted.call("publish_first")
    for cpu in range(4):
        booted.spawn(cpu, "follow_pointer")

    assert booted.call("replace_pointer", 200) == 0
    assert int(booted.global_("elements_read")) > 0
    booted.stop()
    assert booted.wait(20) is State.FINISHED
    assert booted.call("slab_audit") >= 1
    assert kinds(booted) == []


def test_without_a_grace_period_somebody_sees_what_was_freed(machine: MakeMachine) -> None:
    booted = machine(cpus=2, tick_us=200)
    booted.global_("skip_grace_period")[...] = 1
    booted.call("publish_first")
    for cpu in (0, 1):
        booted.spawn(cpu, "follow_pointer")
    assert wait_until(lambda: booted.global_("elements_read") > 0)

    assert wait_until(lambda: booted.call("replace_pointer", 2000) > 0)


# Where tasks lose their CPU, and where they do not.


def with_reader_that_lost_its_cpu(booted: Machine) -> None:
    reader = booted.spawn(1, READER)
    let_in(booted, 1)
    booted.spawn(1, "compute", user=False)
    blocked = booted.record["task"][reader]
    assert wait_until(lambda: int(blocked["rcu_special"]) & BLOCKED)


def test_a_reader_that_lost_its_cpu_is_waited_for(machine: MakeMachine) -> None:
    booted = machine(cpus=2)
    with_reader_that_lost_its_cpu(booted)
    booted.spawn(0, "update")
    needs = booted.global_("rcu_cpus", RCU)["value"]["need_qs"]
    assert wait_until(lambda: int(booted.global_("rcu")["seq"]) & 3 and not needs.any())
    assert not wait_until(lambda: booted.global_("updated"), 0.3)
    let_out(booted, 1)

    assert booted.wait(30) is State.FINISHED
    assert int(booted.global_("left_before")) == 0b10
    booted.stop()


def test_a_reader_that_is_not_put_on_the_list_is_overtaken(sources: tuple[Path, ...]) -> None:
    core = build(Request(patches=(ZOO / "rcu-preempted-reader-not-held.patch",), extra=sources))
    with Machine(core, image_for(core), MachineConfig(cpus=2)) as booted:
        reader = booted.spawn(1, READER)
        let_in(booted, 1)
        booted.spawn(1, "compute", user=False)
        assert wait_until(lambda: int(booted.record["task"][reader]["nivcsw"]))
        booted.spawn(0, "update")

        assert wait_until(lambda: booted.global_("updated"))
        assert int(booted.global_("left_before")) == 0
        let_out(booted, 1)


def test_without_preemption_a_reader_is_waited_for_that_marks_nothing(
    machine: MakeMachine,
) -> None:
    booted = machine(cpus=3, preempt="none")
    booted.spawn(1, READER)
    let_in(booted, 1)
    booted.spawn(1, "compute", user=False)
    booted.spawn(0, "update")
    assert wait_for(booted, 1)
    assert not wait_until(lambda: booted.global_("updated"), 0.3)
    let_out(booted, 1)

    assert wait_until(lambda: booted.global_("updated"))
    assert int(booted.global_("left_before")) == 0b10
    booted.stop()


def test_without_preemption_an_interrupt_that_reports_overtakes_the_reader(
    sources: tuple[Path, ...],
) -> None:
    core = build(Request(patches=(ZOO / "rcu-none-interrupt-reports.patch",), extra=sources))
    with Machine(core, image_for(core), MachineConfig(cpus=3, preempt="none")) as booted:
        booted.spawn(1, READER)
        let_in(booted, 1)
        booted.spawn(0, "update")

        assert wait_until(lambda: booted.global_("updated"))
        assert int(booted.global_("left_before")) == 0
        let_out(booted, 1)


# Callbacks.


def test_a_callback_runs_only_after_the_readers_that_had_begun(machine: MakeMachine) -> None:
    booted = machine(cpus=3)
    booted.spawn(1, READER)
    let_in(booted, 1)
    booted.call("queue_callbacks", 1)
    assert wait_for(booted, 1)
    assert int(booted.global_("callbacks_run")) == 0
    let_out(booted, 1)

    assert wait_until(lambda: booted.global_("callbacks_run") == 1)


def test_a_barrier_returns_when_every_callback_before_it_has_run(machine: MakeMachine) -> None:
    booted = machine(cpus=4)
    for cpu in range(4):
        booted.spawn(cpu, "queue_callbacks", 300)
    assert booted.wait(30) is State.FINISHED

    assert booted.call("queue_and_wait", 100) == 4 * 300 + 100
    assert int(booted.global_("callback_disorder")) == 0
    assert booted.call("slab_audit") == 0


# Readers that never end.


def test_a_reader_that_never_ends_is_named_with_its_place(machine: MakeMachine) -> None:
    booted = machine(cpus=3, stall_ms=300)
    booted.spawn(2, READER)
    let_in(booted, 2)
    booted.spawn(0, "update")

    assert booted.wait(20) is State.FROZEN
    finding = booted.findings[0]
    assert kinds(booted) == ["STALL"]
    assert int(finding["value"][1]) == int(finding["other"]["cpu"]) == 2
    assert int(finding["value"][2]) >= 300
    assert {"stay_inside", READER} <= set(stack_of(booted, finding["other"]))
    assert "synchronize_rcu" in stack_of(booted, finding["here"])


def test_a_reader_that_never_ends_is_named_though_it_lost_its_cpu(machine: MakeMachine) -> None:
    booted = machine(cpus=2, stall_ms=300)
    with_reader_that_lost_its_cpu(booted)
    booted.spawn(0, "update")

    assert booted.wait(20) is State.FROZEN
    finding = booted.findings[0]
    assert kinds(booted) == ["STALL"]
    assert [int(value) for value in finding["value"][3:5]] == [0, 1]
    assert {"stay_inside", READER} <= set(stack_of(booted, finding["other"]))


def test_readers_that_end_do_not_stall_however_long_it_goes_on(machine: MakeMachine) -> None:
    booted = machine(cpus=3, stall_ms=3000)
    booted.call("publish_first")
    for cpu in (1, 2):
        booted.spawn(cpu, "follow_pointer")
    assert booted.call("synchronize_often", 300) == 0
    assert kinds(booted) == []
