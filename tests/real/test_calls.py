"""Cross calls reach whom they are meant for; interrupts and preemption stay off; CPUs stand."""

import pytest

from testbed.machine import Machine, State
from tests.real.conftest import MakeMachine, kinds, provoke, stack_of, wait_until

EBUSY, ENXIO, ENOENT = -16, -6, -2
IRQ_CALL = 1


def noted(machine: Machine) -> tuple[int, int]:
    """Return the CPUs that ran the called function, and how often it ran; then forget them."""
    seen = machine.global_("noted")
    assert int(seen["irqs_on"]) == 0, "a called function runs with interrupts off"
    result = int(seen["mask"]), int(seen["count"])
    seen["mask"], seen["count"] = 0, 0
    return result


@pytest.mark.parametrize("cpus", [2, 5, 16])
def test_a_call_to_one_cpu_runs_there_once(machine: MakeMachine, cpus: int) -> None:
    booted = machine(cpus=cpus)
    for cpu in range(cpus):
        assert booted.call("call_single", cpu, 1) == 0
        assert noted(booted) == (1 << cpu, 1)
        # Only the sender's own call is no interrupt.
        assert int(booted.global_("noted")["not_in_irq"]) == 1


def test_a_call_that_is_not_waited_for_runs_as_well(machine: MakeMachine) -> None:
    booted = machine()
    for _ in range(50):
        assert booted.call("call_single", 1, 0) == 0
    assert wait_until(lambda: booted.global_("noted")["count"] == 50)


@pytest.mark.parametrize("mask", [0b0010, 0b1010, 0b1110])
def test_a_call_to_many_runs_on_exactly_those(machine: MakeMachine, mask: int) -> None:
    booted = machine(cpus=4)
    booted.call("call_many", mask)
    assert noted(booted) == (mask, mask.bit_count())

    # The sender itself is never among them, nor is who is not there.
    booted.call("call_many", mask | 1 | 1 << 20)
    assert noted(booted) == (mask, mask.bit_count())


@pytest.mark.parametrize("cpus", [1, 2, 5, 16])
def test_a_call_to_each_has_run_everywhere_when_it_returns(
    machine: MakeMachine, cpus: int
) -> None:
    booted = machine(cpus=cpus)
    for _ in range(20):
        assert booted.call("call_each") == cpus
        assert noted(booted) == ((1 << cpus) - 1, cpus)


def test_all_cpus_call_all_others_at_once(machine: MakeMachine) -> None:
    booted = machine(cpus=5)
    for cpu in range(5):
        booted.spawn(cpu, "call_each_often", 100)

    assert booted.wait(60) is State.FINISHED
    assert noted(booted) == (0b11111, 5 * 5 * 100)


@pytest.mark.parametrize("cpu", [-1, 2, 63, 64])
def test_a_cpu_that_does_not_exist_cannot_be_called(machine: MakeMachine, cpu: int) -> None:
    booted = machine(cpus=2)

    assert booted.call("call_single", cpu, 1) == ENXIO
    assert booted.call("call_async", cpu) == ENXIO
    assert noted(booted) == (0, 0)


def test_a_cpu_that_is_offline_is_not_called(machine: MakeMachine) -> None:
    booted = machine(cpus=3)
    booted.record["cpu"]["online"][1] = 0

    assert booted.call("call_single", 1, 1) == ENXIO
    assert booted.call("call_async", 1) == ENXIO
    booted.call("call_each")
    assert noted(booted) == (0b101, 2)
    assert booted.call("look_on_one", 1) == ENOENT


def test_an_asynchronous_call_is_busy_until_it_was_taken(machine: MakeMachine) -> None:
    booted = machine()
    booted.spawn(1, "interrupts_off_until_gate")
    assert wait_until(lambda: booted.global_("reached"))

    assert booted.call("call_async", 1) == 0
    assert booted.call("call_async", 1) == EBUSY
    assert booted.call("call_async", 0) == EBUSY
    booted.global_("gate")[...] = 1
    assert wait_until(lambda: booted.call("async_is_free"))
    assert booted.call("call_async", 0) == 0
    assert wait_until(lambda: booted.global_("noted")["count"] == 2)


def test_an_interrupt_waits_until_interrupts_are_on(machine: MakeMachine) -> None:
    booted = machine()
    booted.spawn(1, "interrupts_off_until_gate")
    assert wait_until(lambda: booted.global_("reached"))
    booted.call("call_async", 1)
    assert int(booted.record["cpu"]["irq_pending"][1]) & IRQ_CALL
    booted.global_("gate")[...] = 1

    assert booted.wait(20) is State.FINISHED
    assert int(booted.global_("noted_before")) == 0
    assert int(booted.global_("noted_after")) == 1


def test_interrupts_stay_off_until_the_outermost_restore(machine: MakeMachine) -> None:
    assert machine(cpus=1).call("nested_irq_flags") == 0b011


def test_waiting_for_another_cpu_needs_interrupts_on(machine: MakeMachine) -> None:
    booted = machine()
    assert booted.call("wait_with_interrupts_off", 0) == 0
    assert kinds(booted) == []

    finding = provoke(booted, 0, "wait_with_interrupts_off", 1)
    assert kinds(booted) == ["BAD_CONTEXT"]
    assert finding["value"][1:4].tolist() == [0, 1, 0]
    assert "wait_with_interrupts_off" in stack_of(booted, finding["here"])


# Preemption.


@pytest.mark.parametrize("off", [1, 0])
def test_the_tick_preempts_unless_preemption_is_off(machine: MakeMachine, off: int) -> None:
    booted = machine(tick_us=300)
    booted.spawn(1, "spin_and_count")
    task = booted.spawn(1, "compute_for_ticks", off)
    dead = booted.layout.enum("task_state")["TASK_DEAD"]
    assert wait_until(lambda: booted.record["task"]["state"][task] == dead)
    booted.stop()

    assert booted.wait(20) is State.FINISHED
    if off:
        assert int(booted.global_("other_while_off")) == 0
        assert int(booted.global_("switched_after_on")) > 0, "what was put off happens at once"
    else:
        assert int(booted.global_("other_while_off")) > 0


def test_tasks_that_give_way_switch_voluntarily(machine: MakeMachine) -> None:
    booted = machine(cpus=1, tick_us=0)
    for parity in (0, 1):
        booted.spawn(0, "take_turns", parity)

    assert booted.wait(20) is State.FINISHED
    assert int(booted.global_("token")) == 200
    assert int(booted.cpu_stats()["nr_switches"][0]) >= 200


# Stopped CPUs.


@pytest.fixture
def moving(machine: MakeMachine) -> Machine:
    """A machine of four CPUs, all of which move."""
    booted = machine(cpus=4)
    for cpu in range(4):
        booted.spawn(cpu, "keep_moving")
    counters = booted.global_("moving")
    assert wait_until(lambda: bool((counters[:4, 0] > 0).all()))
    return booted


ALL = 0b1111


@pytest.mark.parametrize(
    ("asked", "ran"), [(0, 0b0001), (0b0100, 0b0100), (0b1001, 0b1001), (ALL, ALL)]
)
def test_stop_machine_runs_where_asked_while_all_others_stand(
    moving: Machine, asked: int, ran: int
) -> None:
    stopped = moving.global_("stopped")
    for _ in range(5):
        assert moving.call("look_while_stopped", asked) == 0
    assert [int(stopped[name]) for name in ("mask", "moved", "running")] == [ran, 0, 0]


def test_without_stop_machine_others_move(moving: Machine) -> None:
    moving.spawn(0, "look_while_running")
    assert wait_until(lambda: moving.global_("stopped")["moved"] > 0)


def test_stop_machine_returns_what_the_function_returns(moving: Machine) -> None:
    moving.global_("stopped")["result"] = -7

    assert moving.call("look_while_stopped", ALL) == -7
    assert moving.call("look_on_one", 2) == -7


def test_one_and_two_cpus_can_be_stopped(moving: Machine) -> None:
    stopped = moving.global_("stopped")
    assert moving.call("look_on_one", 3) == 0
    assert int(stopped["mask"]) == 0b1000
    stopped["mask"] = 0
    assert moving.call("look_on_two", 2, 1) == 0
    # The first one named runs it, the other one only stands.
    assert int(stopped["mask"]) == 0b0100

    for nobody in (-1, 4, 64):
        assert moving.call("look_on_one", nobody) == ENOENT


def test_cpus_that_all_stop_the_machine_take_turns(machine: MakeMachine) -> None:
    booted = machine(cpus=4)
    tasks = [booted.spawn(cpu, "count_stopped_cpu", 10) for cpu in range(4)]

    assert booted.wait(60) is State.FINISHED
    assert booted.record["task"]["result"][tasks].tolist() == [0] * 4
    assert kinds(booted) == []
