"""Time passes: who sleeps wakes up in time, and who waits for what cannot come is found."""

from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.machine import State
from testbed.paths import project_root
from tests.real.conftest import MakeMachine, kinds, provoke, stack_of, wait_until

STRESS = ["stress", "work_torture", "--cpus", "3", "--duration", "1s", "--seed", "5"]
ZOO = project_root() / "stress" / "zoo"


def test_a_sleep_lasts_as_long_as_it_was_asked_for_and_is_no_hang(machine: MakeMachine) -> None:
    booted = machine(cpus=3, hang_ms=100)
    for cpu in range(3):
        booted.spawn(cpu, "sleep_for", 300 * (cpu + 1))
    booted.call("workqueue_start")
    assert booted.wait(30) is State.FINISHED

    slept = [int(ms) for ms in booted.global_("slept_ms")[:3]]
    assert all(ms >= 300 * (cpu + 1) for cpu, ms in enumerate(slept))
    assert kinds(booted) == []


@pytest.mark.parametrize(
    ("function", "here"),
    [("arm_own_timer", "delete_itself"), ("queue_own_work", "flush_itself")],
)
def test_who_waits_for_its_own_end_is_a_deadlock(
    machine: MakeMachine, function: str, here: str
) -> None:
    booted = machine()
    finding = provoke(booted, 1, function)

    assert kinds(booted) == ["DEADLOCK"]
    assert here in stack_of(booted, finding["here"])


def test_a_timer_deleted_under_a_lock_that_its_function_takes_is_a_deadlock(
    machine: MakeMachine,
) -> None:
    booted = machine(hang_ms=300)
    booted.spawn(0, "arm_locking_timer")
    booted.spawn(1, "delete_under_lock")
    assert wait_until(lambda: booted.wait(1) is State.FROZEN)

    assert kinds(booted) == ["DEADLOCK"]


def test_all_that_was_armed_or_queued_runs_or_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert command_line(STRESS) == 0


def test_work_that_runs_twice_at_once_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The twin keeps the test above honest.
    monkeypatch.chdir(tmp_path)

    longer = [*STRESS, "--duration", "20s"]
    assert command_line([*longer, "--patch", str(ZOO / "work-runs-twice-in-pool.patch")]) == 1
