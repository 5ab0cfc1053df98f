"""RCU-tasks, rude and trace on a real machine: whom each waits for, and whom it does not."""

from pathlib import Path

from testbed.build import Request, build
from testbed.machine import Machine, MachineConfig, State
from testbed.paths import project_root
from testbed.testing.real import image_for
from tests.real.conftest import MakeMachine, kinds, wait_until

TASKS, RUDE, TRACE = range(3)
HOLDOUT = 1  # TASKS_RCU_HOLDOUT
INSIDE_LOOP, INSIDE_SLEEP = 1, 2

# For so long nothing happens that must not.
A_WHILE_S = 0.2

PREEMPTED_IS_QUIESCENT = (
    project_root() / "stress" / "zoo" / "rcu-tasks-preemption-is-quiescent.patch"
)


def let_in(machine: Machine, function: str, inside: int) -> int:
    """Return the task that runs `function` on CPU 1, once it is inside."""
    task = machine.spawn(1, function)
    assert wait_until(lambda: int(machine.global_("task_reader_inside")) & inside)
    return task


def update(machine: Machine, flavour: int) -> None:
    machine.spawn(0, "update_flavour", flavour, user=False)


def is_updated(machine: Machine, flavour: int, patience: float = 30.0) -> bool:
    updated = machine.global_("flavour_updated")
    return bool(wait_until(lambda: updated[flavour], patience))


def test_rcu_tasks_waits_for_who_was_preempted_and_not_for_who_sleeps(
    machine: MakeMachine,
) -> None:
    booted = machine(cpus=2)
    let_in(booted, "sleep_in_trace_reader", INSIDE_SLEEP)
    update(booted, TASKS)
    assert is_updated(booted, TASKS)
    loop = let_in(booted, "loop_until_told", INSIDE_LOOP)
    booted.spawn(1, "compute", user=False)
    task = booted.record["task"][loop]
    assert wait_until(lambda: int(task["nivcsw"]))
    booted.global_("flavour_updated")[...] = 0
    update(booted, TASKS)
    assert wait_until(lambda: int(task["tasks_rcu"]) & HOLDOUT)
    assert not is_updated(booted, TASKS, A_WHILE_S)
    booted.global_("task_reader_leave")[...] = 1
    booted.stop()

    assert is_updated(booted, TASKS)
    booted.call("wake_trace_reader", 0)
    assert booted.wait(30) is State.FINISHED


def test_who_loses_its_cpu_is_overtaken_when_that_counts_as_a_switch(
    sources: tuple[Path, ...],
) -> None:
    # The twin keeps the test above honest.
    core = build(Request(patches=(PREEMPTED_IS_QUIESCENT,), extra=sources))
    with Machine(core, image_for(core), MachineConfig(cpus=2)) as booted:
        let_in(booted, "loop_until_told", INSIDE_LOOP)
        booted.spawn(1, "compute", user=False)
        update(booted, TASKS)

        assert is_updated(booted, TASKS)
        booted.global_("task_reader_leave")[...] = 1
        assert booted.wait(30) is State.FINISHED
        booted.stop()


def test_rude_waits_for_preemption_off_and_trace_for_a_reader_that_sleeps(
    machine: MakeMachine,
) -> None:
    booted = machine(cpus=3)
    for flavour in (TASKS, RUDE, TRACE):
        update(booted, flavour)
        assert is_updated(booted, flavour)
    booted.global_("flavour_updated")[...] = 0
    let_in(booted, "sleep_in_trace_reader", INSIDE_SLEEP)
    let_in(booted, "loop_with_preemption_off", INSIDE_LOOP)
    update(booted, RUDE)
    assert not is_updated(booted, RUDE, A_WHILE_S)
    booted.global_("task_reader_leave")[...] = 1
    assert is_updated(booted, RUDE)
    update(booted, TRACE)
    assert not is_updated(booted, TRACE, A_WHILE_S)
    booted.call("wake_trace_reader", 0)

    assert is_updated(booted, TRACE)
    assert booted.wait(30) is State.FINISHED
    assert kinds(booted) == []


def test_every_callback_has_run_when_the_barriers_return(machine: MakeMachine) -> None:
    booted = machine(cpus=4)
    booted.call("use_a_queue_for_each_cpu", 0)
    for cpu in range(4):
        booted.spawn(cpu, "call_flavours", 200)
    assert booted.wait(30) is State.FINISHED
    booted.call("flavour_barriers", 0)

    assert booted.global_("flavour_called").tolist() == [800, 800, 800]
    assert booted.call("slab_audit") == 0


def test_who_holds_a_grace_period_for_too_long_is_named(machine: MakeMachine) -> None:
    booted = machine(cpus=2, hang_ms=300)
    loop = let_in(booted, "loop_until_told", INSIDE_LOOP)
    update(booted, TASKS)

    assert booted.wait(20) is State.FROZEN
    assert kinds(booted) == ["HANG"]
    assert int(booted.findings[0]["other"]["task"]) == loop
