"""Locks exclude, completions count, kernel threads stop; what breaks their rules is found."""

from functools import partial
from typing import Any

import pytest

from testbed.machine import Machine, State
from testbed.symbols import Symbols
from tests.real.conftest import MakeMachine, function_at, kinds, provoke, stack_of, wait_until

NOTHING, SPIN, IRQSAVE, MUTEX = range(4)


def contest(machine: Machine, kind: int, rounds: int) -> list[int]:
    """Let two tasks on each CPU contend and return what each of them made."""
    machine.global_("contest_rounds")[...] = rounds
    tasks = [
        machine.spawn(cpu, "contend", kind) for cpu in range(machine.config.cpus) for _ in "ab"
    ]
    assert machine.wait(30) is State.FINISHED
    return [int(machine.record["task"]["result"][task]) for task in tasks]


@pytest.mark.parametrize("kind", [SPIN, IRQSAVE, MUTEX])
@pytest.mark.parametrize("cpus", [1, 2, 5])
def test_a_lock_lets_one_in_at_a_time(machine: MakeMachine, cpus: int, kind: int) -> None:
    booted = machine(cpus=cpus, tick_us=200)
    rounds = contest(booted, kind, 1000)

    assert rounds == [1000] * (2 * cpus)
    assert int(booted.global_("contest_count")) == 2000 * cpus
    assert int(booted.global_("contest_overlaps")) == 0
    assert kinds(booted) == []


def test_without_a_lock_several_are_inside(machine: MakeMachine) -> None:
    booted = machine(tick_us=200)
    contest(booted, NOTHING, 0)

    assert int(booted.global_("contest_overlaps")) > 0


def test_a_lock_with_interrupts_off_is_safe_from_interrupts(machine: MakeMachine) -> None:
    booted = machine()
    booted.global_("contest_rounds")[...] = 2000
    booted.spawn(1, "contend", IRQSAVE)
    booted.spawn(0, "interrupt_contenders", 1)
    assert booted.wait(30) is State.FINISHED

    assert int(booted.global_("contest_count")) == 4000
    assert int(booted.global_("contest_overlaps")) == 0
    stats = booted.cpu_stats()[1]
    assert stats["nr_irqs"] + stats["nr_polled"] > 0


def test_a_lock_that_an_interrupt_wants_from_its_own_cpu_is_a_deadlock(
    machine: MakeMachine,
) -> None:
    booted = machine()
    booted.global_("contest_rounds")[...] = 1
    booted.spawn(1, "hold_with_interrupts_on")
    assert wait_until(lambda: booted.global_("reached"))
    finding = provoke(booted, 0, "interrupt_contenders", 1)

    assert kinds(booted) == ["DEADLOCK"]
    assert "hold_with_interrupts_on" in stack_of(booted, finding["here"])


def test_trying_does_not_wait(machine: MakeMachine) -> None:
    booted = machine(cpus=1)

    assert booted.call("trylock_twice") == 0b10
    assert booted.call("trylock_mutex_twice") == 0b101


def test_mutexes_taken_in_one_order_do_not_deadlock(machine: MakeMachine) -> None:
    booted = machine(hang_ms=300)
    booted.global_("gate")[...] = 1
    for cpu in (0, 1):
        booted.spawn(cpu, "lock_forth")

    assert booted.wait(20) is State.FINISHED
    assert kinds(booted) == []


def test_mutexes_taken_in_both_orders_deadlock_and_both_tasks_are_named(
    machine: MakeMachine,
) -> None:
    booted = machine(hang_ms=300)
    tasks = {booted.spawn(0, "lock_forth"), booted.spawn(1, "lock_back")}
    assert wait_until(lambda: booted.global_("reached") == 2)
    booted.global_("gate")[...] = 1

    assert booted.wait(20) is State.FROZEN
    finding = booted.findings[0]
    wait = booted.layout.enum("wait_kind")["WAIT_MUTEX"]
    assert kinds(booted) == ["DEADLOCK"]
    assert {int(finding["here"]["task"]), int(finding["other"]["task"])} == tasks
    assert int(finding["value"][0]) == int(finding["here"]["task"])
    assert finding["value"][1:4:2].tolist() == [wait, 2]
    for side in ("here", "other"):
        assert "lock_both" in stack_of(booted, finding[side])


@pytest.mark.parametrize(
    ("function", "kind"),
    [("lock_twice", "DEADLOCK"), ("unlock_what_is_not_held", "BAD_STATE")],
)
def test_misuse_of_a_mutex_is_found_at_once(
    machine: MakeMachine, function: str, kind: str
) -> None:
    booted = machine(cpus=1)
    finding = provoke(booted, 0, function)

    assert kinds(booted) == [kind]
    assert function in stack_of(booted, finding["here"])


# Completions.


def waiters(machine: Machine, count: int) -> None:
    for number in range(count):
        machine.spawn(number % machine.config.cpus, "wait_for_done")
    assert wait_until(lambda: machine.call("count_waiters") == count)


def test_a_completion_may_come_before_the_wait(machine: MakeMachine) -> None:
    assert machine(cpus=1).call("complete_before_wait") == 0


@pytest.mark.parametrize("cpus", [1, 4])
def test_each_complete_lets_one_waiter_go(machine: MakeMachine, cpus: int) -> None:
    booted = machine(cpus=cpus)
    waiters(booted, 8)
    woken = booted.global_("woken")

    booted.call("complete_times", 3)
    assert wait_until(lambda: woken == 3)
    assert booted.call("count_waiters") == 5
    booted.call("complete_times", 5)
    assert booted.wait(20) is State.FINISHED
    assert int(woken) == 8
    assert int(booted.global_("done")["done"]) == 0


def test_complete_all_lets_everybody_go_until_it_is_taken_back(machine: MakeMachine) -> None:
    booted = machine(cpus=3)
    waiters(booted, 6)

    booted.call("complete_for_all")
    assert booted.wait(20) is State.FINISHED
    booted.spawn(1, "wait_for_done")
    assert booted.wait(20) is State.FINISHED
    assert int(booted.global_("woken")) == 7

    assert booted.call("reinit_done") == 0
    waiters(booted, 1)
    booted.call("complete_times", 1)
    assert booted.wait(20) is State.FINISHED
    assert int(booted.global_("woken")) == 8


def test_a_completion_that_never_comes_is_a_hang(machine: MakeMachine) -> None:
    booted = machine(hang_ms=300)
    task = booted.spawn(1, "wait_for_done")

    assert booted.wait(20) is State.FROZEN
    finding = booted.findings[0]
    assert kinds(booted) == ["HANG"]
    assert int(finding["value"][0]) == int(finding["here"]["task"]) == task
    assert int(finding["value"][2]) == booted.address_of("done")
    assert "wait_for_completion" in stack_of(booted, finding["here"])


def test_a_task_that_stops_getting_on_is_found(machine: MakeMachine) -> None:
    booted = machine(hang_ms=300)
    task = booted.spawn(1, "stand_after_a_start")

    assert booted.wait(20) is State.FROZEN
    finding = booted.findings[0]
    assert kinds(booted) == ["NO_PROGRESS"]
    assert int(finding["value"][2]) == task
    assert "stand_after_a_start" in stack_of(booted, finding["here"])


# Where one may not sleep.


@pytest.mark.parametrize("function", ["sleep_with_preemption_off", "lock_with_spinlock_held"])
def test_sleeping_is_allowed_in_a_task_and_found_in_atomic_context(
    machine: MakeMachine, function: str
) -> None:
    booted = machine(cpus=1)
    assert booted.call(function, 0) == 0
    assert kinds(booted) == []

    finding = provoke(booted, 0, function, 1)
    assert kinds(booted) == ["BAD_CONTEXT"]
    assert finding["value"][1:4].tolist() == [1, 0, 0]
    assert function in stack_of(booted, finding["here"])


def test_a_mutex_in_an_interrupt_is_found(machine: MakeMachine) -> None:
    booted = machine(cpus=2)
    finding = provoke(booted, 0, "lock_in_interrupt", 1)

    assert kinds(booted) == ["BAD_CONTEXT"]
    assert int(finding["here"]["cpu"]) == 1
    # A return address: the call lies before it.
    assert function_at(booted, int(finding["value"][0]) - 1) == "mutex_lock"


# Kernel threads.


@pytest.fixture
def booted(machine: MakeMachine) -> Machine:
    return machine(cpus=2)


@pytest.mark.parametrize(
    ("start", "result"), [("start_stoppable", 42), ("start_sleeper", 43)]
)
@pytest.mark.parametrize("cpu", [0, 1])
def test_a_kernel_thread_runs_until_it_is_stopped(
    booted: Machine, start: str, result: int, cpu: int
) -> None:
    task = booted.record["task"][booted.call(start, cpu)]
    dead = booted.layout.enum("task_state")["TASK_DEAD"]
    assert int(task["cpu"]) == cpu
    assert int(task["state"]) != dead

    booted.call("stop_stoppable")
    assert wait_until(lambda: task["state"] == dead)
    assert int(task["result"]) == result


def ended(task: Any, dead: int) -> bool:
    return bool(task["state"] == dead and not task["on_rq"])


def test_the_place_of_a_task_that_ended_is_used_again(booted: Machine) -> None:
    dead = booted.layout.enum("task_state")["TASK_DEAD"]
    tasks = set()
    for _ in range(30):
        index = booted.call("start_stoppable", 1)
        task = booted.record["task"][index]
        tasks.add(index)
        booted.call("stop_stoppable")
        assert wait_until(partial(ended, task, dead))

    assert len(tasks) == 1


@pytest.mark.parametrize(
    ("task", "function"),
    [("end_unbalanced", "end_unbalanced"), ("interrupt_unbalanced", "leave_preemption_off")],
)
def test_what_outlives_its_function_is_found(
    machine: MakeMachine, task: str, function: str
) -> None:
    booted = machine()
    finding = provoke(booted, 0, task, 1)

    assert kinds(booted) == ["UNBALANCED"]
    left = Symbols.of(booted.core).places(finding["value"][0])
    assert left[-1].function == function


def test_an_allocation_that_may_sleep_under_a_spinlock_is_found(machine: MakeMachine) -> None:
    booted = machine()
    finding = provoke(booted, 0, "allocate_under_lock")

    assert kinds(booted) == ["BAD_CONTEXT"]
    assert "allocate_under_lock" in stack_of(booted, finding["here"])
