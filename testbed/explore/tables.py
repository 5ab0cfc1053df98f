"""The tasks of a scenario, written into the memory of an explored machine."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.arena import Arena
from testbed.errors import TestbedError
from testbed.layout import Layout
from testbed.scenario.model import CTask, Scenario
from testbed.scenario.table import write

# Operations that run, probe or patch text.
TEXT = frozenset({
    "register", "unregister", "enable", "disable", "register_batch", "unregister_batch", "arm_all",
    "disarm_all", "call", "call_in_irq", "patch", "audit",
})  # fmt: skip


class ScenarioUnable(TestbedError):
    """A scenario uses what the explorer does not have."""


@dataclass(frozen=True)
class Entry:
    """A task to be explored: function and argument, addresses in the core and the arena."""

    function: int
    argument: int
    cpu: int
    name: str


@dataclass(frozen=True)
class Entries:
    """What ``struct explore`` says of a scenario; addresses, 0 = none."""

    tasks: tuple[Entry, ...] = ()
    before: int = 0
    check: int = 0


@dataclass(frozen=True)
class Memory:
    """An arena as the memory that tables are written to."""

    arena: Arena

    @property
    def layout(self) -> Layout:
        """Of the core that will run."""
        return self.arena.layout

    def alloc(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory for a block; see `Arena.alloc`."""
        return self.arena.alloc(what, count)

    def view(self, address: int, dtype: str | np.dtype[Any], count: int = 1) -> NDArray[Any]:
        """Return items at an address; see `Arena.view`."""
        return self.arena.view(address, dtype, count)

    def address_of(self, symbol: str) -> int:
        """Return the address of a function of the core."""
        return self.layout.symbol(symbol).address


def check_explorable(scenario: Scenario) -> None:
    """Make sure that the explorer can run `scenario`.

    Raises:
        ScenarioUnable: it is about text.
    """
    used = next((one.name for one in scenario.operations if one.name in TEXT), None)
    if used is not None:
        raise ScenarioUnable(
            f"{scenario.name}: {used}() is about probes and patched text, which the explorer "
            f"cannot run yet: use testbed stress {scenario.name}"
        )


def is_explorable(scenario: Scenario) -> bool:
    """Tell whether the explorer can run `scenario`."""
    return not any(one.name in TEXT for one in scenario.operations)


def write_tasks(arena: Arena, scenario: Scenario) -> Entries:
    """Write the tables of a scenario into an arena, and return what begins its tasks.

    Raises:
        LayoutError: a C function of it is not there.
    """
    memory = Memory(arena)
    tables = write(memory, scenario, Random(0), 0)
    entries = []
    for number, task in enumerate(scenario.tasks):
        name = task.code.function if isinstance(task, CTask) else "task"
        entries.append(Entry(
            memory.address_of("scenario_run_once"), tables.task_addresses[number], task.cpu,
            f"{name}/{number}",
        ))  # fmt: skip
    functions = (
        memory.address_of(one.function) if one else 0 for one in (scenario.before, scenario.after)
    )
    return Entries(tuple(entries), *functions)
