"""The tasks of a scenario, written into the memory of an explored machine."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from testbed.arena import Arena
from testbed.layout import Layout
from testbed.scenario.model import CTask, Scenario
from testbed.scenario.table import Tables, write

# Fields that only Python writes, see shm_layout/scenario.h and judge.h.
SCENARIO = ("nr_tasks", "nr_probes", "nr_functions", "delay_cycles", "tasks", "probes", "functions")
FUNCTION = ("addr", "nr_slots", "nr_alternatives", "slot", "any_result", "site", "bytes")
PROBE = (
    "addr", "passes", "disabled", "nr_traced", "handler", "nested", "traced", "listed",
    "record.delay_cycles", "record.function", "record.argument", "record.expected",
    "record.skip_value",
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A task to be explored: function and argument, addresses in the core and the arena."""

    function: int
    argument: int
    cpu: int
    name: str
    own: int


@dataclass(frozen=True)
class Constant:
    """The same bytes of each element of a table: nobody writes them once tasks have begun."""

    start: int
    size: int
    stride: int
    count: int


@dataclass(frozen=True)
class InterruptEntry:
    """An interrupt to be explored; likewise."""

    function: int
    argument: int
    cpu: int
    nmi: bool
    times: int


@dataclass(frozen=True)
class Entries:
    """What ``struct explore`` says of a scenario; addresses, 0 = none."""

    tasks: tuple[Entry, ...] = ()
    interrupts: tuple[InterruptEntry, ...] = ()
    constants: tuple[Constant, ...] = ()
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

    def alloc_constant(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory that nobody writes later; see `Arena.alloc_constant`."""
        return self.arena.alloc_constant(what, count)

    def view(self, address: int, dtype: str | np.dtype[Any], count: int = 1) -> NDArray[Any]:
        """Return items at an address; see `Arena.view`."""
        return self.arena.view(address, dtype, count)

    def address_of(self, symbol: str) -> int:
        """Return the address of a function of the core."""
        return self.layout.symbol(symbol).address


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
            f"{name}/{number}", memory.layout.sizeof("struct scenario_task"),
        ))  # fmt: skip
    functions = (
        memory.address_of(one.function) if one else 0 for one in (scenario.before, scenario.after)
    )
    interrupts = tuple(
        InterruptEntry(
            memory.address_of("scenario_interrupt"), tables.interrupt_addresses[number], one.cpu,
            one.nmi, one.times,
        )
        for number, one in enumerate(scenario.interrupts)
    )  # fmt: skip
    return Entries(tuple(entries), interrupts, _constants(memory, tables), *functions)


def _constants(memory: Memory, tables: Tables) -> tuple[Constant, ...]:
    """Return what is constant in the tables, field by field."""
    scenario, found = tables.scenario, []
    for name, fields, start, count in (
        ("struct scenario", SCENARIO, tables.address, 1),
        ("struct judge_function", FUNCTION, int(scenario["functions"]), len(tables.functions)),
        ("struct judge_slot", PROBE, int(scenario["probes"]), len(tables.probes)),
    ):
        kind = memory.layout.dtype(name)
        for field in fields:
            offset, size = _place(kind, field)
            found.append(Constant(start + offset, size, kind.itemsize, count))
    return tuple(found)


def _place(kind: np.dtype[Any], path: str) -> tuple[int, int]:
    """Return offset and size of a field, or of a field in a field."""
    at, inner = 0, kind
    for name in path.split("."):
        assert inner.fields is not None
        inner, offset = inner.fields[name][:2]
        at += offset
    return at, inner.itemsize
