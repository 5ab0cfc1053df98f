"""The tasks of a scenario, written into the memory of an explored machine."""

from __future__ import annotations

from testbed.arena import Arena
from testbed.errors import TestbedError
from testbed.scenario.model import CTask, Scenario

# Operations that run, probe or patch text.
TEXT = frozenset({
    "register", "unregister", "enable", "disable", "register_batch", "unregister_batch", "arm_all",
    "disarm_all", "call", "call_in_irq", "patch", "audit",
})  # fmt: skip


class ScenarioUnable(TestbedError):
    """A scenario uses what the explorer does not have."""


def check_explorable(scenario: Scenario) -> None:
    """Make sure that the explorer can run `scenario`.

    Raises:
        ScenarioUnable: it is about text.
    """
    used = sorted({operation.name for operation in scenario.operations} & TEXT)
    if used:
        raise ScenarioUnable(
            f"{scenario.name}: {used[0]} needs patched text, which the explorer cannot run yet: "
            f"use testbed stress {scenario.name}"
        )


def write_tasks(
    arena: Arena, scenario: Scenario
) -> tuple[list[tuple[int, int, int, str]], int]:
    """Write what the tasks need; return function, argument, CPU and name of each, and the check.

    Raises:
        ScenarioUnable: it is about text.
        LayoutError: a C function of it is not there.
    """
    check_explorable(scenario)
    symbol = arena.layout.symbol
    tasks = [
        (symbol(task.code.function).address, task.argument, task.cpu,
         f"{task.code.function}/{number}")
        for number, task in enumerate(scenario.tasks) if isinstance(task, CTask)
    ]  # fmt: skip
    check = symbol(scenario.after.function).address if scenario.after else 0
    return tasks, check
