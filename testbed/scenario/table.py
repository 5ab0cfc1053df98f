"""A scenario as the tables of shm_layout/scenario.h, and operations read back from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.layout import Layout
from testbed.scenario.check import closure, function_named, modules, site_of, unloadable
from testbed.scenario.model import (
    TRACERS,
    VOCABULARY,
    CFunction,
    CTask,
    Interrupt,
    Operation,
    Scenario,
    Task,
)

__all__ = ["Tables", "operations_of", "pack", "write"]


class Memory(Protocol):
    """Where the tables go: the memory of a machine, booted or not."""

    @property
    def layout(self) -> Layout:
        """Of its core."""

    def alloc(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory for a block; see `Arena.alloc`."""

    def alloc_constant(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory that nobody writes later; see `Arena.alloc_constant`."""

    def view(self, address: int, dtype: str | np.dtype[Any], count: int = 1) -> NDArray[Any]:
        """Return items at an address; see `Arena.view`."""

    def address_of(self, symbol: str) -> int:
        """Return the address of a function of the core."""


@dataclass
class Tables:
    """Where a scenario is in the memory of a machine, as live arrays.

    Attributes:
        address: of ``struct scenario``.
        scenario: that record.
        tasks, probes, functions, interrupts: one record for each, in the scenario's order.
        task_addresses: what each task gets as its argument.
        interrupt_addresses: what the handler of each interrupt gets.
    """

    address: int
    scenario: Any
    tasks: NDArray[Any]
    probes: NDArray[Any]
    functions: NDArray[Any]
    interrupts: NDArray[Any]
    task_addresses: list[int] = field(default_factory=list)
    interrupt_addresses: list[int] = field(default_factory=list)


def pack(scenario: Scenario, task: Task | Interrupt, layout: Layout) -> NDArray[Any]:
    """Return the operations of a task or interrupt as ``struct operation``."""
    codes = layout.enum("operation_code")
    table = np.zeros(len(task.operations), layout.dtype("struct operation"))
    for entry, operation in zip(table, task.operations, strict=True):
        entry["code"] = codes[f"OPERATION_{operation.name.upper()}"]
        entry["times"], entry["cpu"] = operation.times, operation.cpu
        entry["alternative"] = operation.alternative
        entry["module"] = _module(scenario, operation)
        entry["nr_probes"] = len(operation.probes)
        entry["probe"][: len(operation.probes)] = operation.probes
        if operation.function:
            entry["function"] = scenario.functions.index(operation.function)
            entry["call"]["argument"] = (operation.a, operation.b)
            results = _results(operation.function, operation.a, operation.b)
            entry["call"]["expected"][: len(results)] = results
    return table


def operations_of(scenario: Scenario, table: NDArray[Any], layout: Layout) -> list[Operation]:
    """Return the operations that `pack` has put into `table`."""
    names = {
        code: name.removeprefix("OPERATION_").lower()
        for name, code in layout.enum("operation_code").items()
    }
    return [
        Operation(
            name=(name := names[int(entry["code"])]),
            probes=tuple(int(probe) for probe in entry["probe"][: entry["nr_probes"]]),
            function=scenario.functions[entry["function"]] if VOCABULARY[name].function else "",
            times=int(entry["times"]),
            a=int(entry["call"]["argument"][0]),
            b=int(entry["call"]["argument"][1]),
            cpu=int(entry["cpu"]),
            alternative=int(entry["alternative"]),
            module=modules()[entry["module"]] if VOCABULARY[name].module else "",
        )
        for entry in table
    ]


def _module(scenario: Scenario, operation: Operation) -> int:
    """Return the number of the module that an operation unloads or loads, or has to hold."""
    if operation.module:
        return modules().index(operation.module)
    probes = [scenario.probes[number] for number in operation.probes]
    names = [name for probe in probes for name in (probe.function, *probe.others)]
    names += [operation.function] if operation.function else []
    return max((unloadable(scenario, name) for name in names), default=0)


def _results(name: str, a: int, b: int) -> list[int]:
    """Return what a function returns, by what stands at its site."""
    site = site_of(name)
    models = [function_named(name).expected]
    models += [one.expected for one in site.alternatives] if site else []
    return [model(a, b) for model in models if model is not None]


def write(machine: Memory, scenario: Scenario, random: Random, delay_cycles: int) -> Tables:
    """Put a scenario into the memory of a machine; no task is started yet.

    Args:
        machine: with the assembled functions in its text, and the scenario's C files in its core.
        scenario: what to write.
        random: seeds the tasks.
        delay_cycles: random pauses before operations are shorter; 0 = none.
    """
    address = machine.alloc("struct scenario")
    record = machine.view(address, "struct scenario")[0]
    tables = Tables(
        address, record,
        tasks=_array(machine, record, "tasks", "struct scenario_task", len(scenario.tasks)),
        probes=_array(machine, record, "probes", "struct judge_slot", len(scenario.probes)),
        functions=_array(
            machine, record, "functions", "struct judge_function", len(scenario.functions)
        ),
        interrupts=_array(
            machine, record, "interrupts", "struct scenario_interrupt", len(scenario.interrupts)
        ),
    )  # fmt: skip
    record["delay_cycles"] = delay_cycles
    record["start"]["tasks"] = len(scenario.tasks)
    record["barrier"]["tasks"] = sum(
        any(operation.name == "barrier" for operation in task.operations)
        for task in scenario.tasks if isinstance(task, Task)
    )  # fmt: skip
    for role in ("before", "after"):
        code: CFunction | None = getattr(scenario, role)
        record[role] = machine.address_of(code.function) if code else 0
    _write_probes(machine, scenario, tables)
    _write_functions(machine, scenario, tables)
    _write_tasks(machine, scenario, tables, random)
    _write_interrupts(machine, scenario, tables)
    return tables


def _array(machine: Memory, record: Any, name: str, kind: str, count: int) -> NDArray[Any]:
    record[name] = machine.alloc(kind, count) if count else 0
    record[f"nr_{name}"] = count
    if not count:
        return np.zeros(0, machine.layout.dtype(kind))
    return machine.view(int(record[name]), kind, count)


def _at(machine: Memory, record: Any, name: str, kind: str, index: int) -> int:
    return int(record[name]) + index * machine.layout.sizeof(kind)


def _write_probes(machine: Memory, scenario: Scenario, tables: Tables) -> None:
    for slot, probe in zip(tables.probes, scenario.probes, strict=True):
        function = function_named(probe.function)
        slot["addr"] = function.addr + probe.offset
        slot["disabled"] = not probe.enabled
        slot["handler"] = probe.handler.encode()
        # Behind one that skips, what is passed depends on which of them comes first.
        skipping = any(
            other.handler == "skip" and other is not probe
            and set(closure(other.function)) & {probe.function}
            for other in scenario.probes
        )  # fmt: skip
        slot["passes"] = (probe.offset in function.once or bool(probe.traced)) and not skipping
        for n, name in enumerate(probe.traced):
            slot["traced"][n] = function_named(name).addr
        slot["nr_traced"] = len(probe.traced)
        slot["listed"] = bool(probe.traced) and probe.handler != TRACERS[0]
        record = slot["record"]
        record["delay_cycles"], record["skip_value"] = probe.delay, probe.returns
        if probe.enters:
            entered = scenario.functions.index(probe.enters)
            slot["nested"] = _at(
                machine, tables.scenario, "functions", "struct judge_function", entered
            )
            record["function"] = function_named(probe.enters).addr
            record["expected"] = _results(probe.enters, 0, 0)[0]


def _write_functions(machine: Memory, scenario: Scenario, tables: Tables) -> None:
    for entry, name in zip(tables.functions, scenario.functions, strict=True):
        function, site = function_named(name), site_of(name)
        entry["addr"], entry["nr_alternatives"] = function.addr, 1
        met = [p for p in scenario.probes if {p.function, *p.traced} & set(closure(name))]
        entry["nr_slots"] = len(met)
        for n, probe in enumerate(met):
            entry["slot"][n] = _at(
                machine, tables.scenario, "probes", "struct judge_slot", probe.number
            )
        # A callee that skips itself makes something else of the caller's result.
        entry["any_result"] = any(
            probe.handler == "skip" and probe.function != name for probe in met
        )
        if site is not None:
            forms = (site.old_bytes, *(one.data for one in site.alternatives))
            entry["nr_alternatives"], entry["site"] = len(forms), site.address
            for n, data in enumerate(forms):
                entry["bytes"][n][:5] = list(data)


def _write_tasks(machine: Memory, scenario: Scenario, tables: Tables, random: Random) -> None:
    cpus = [task.cpu for task in scenario.tasks]
    for number, (entry, task) in enumerate(zip(tables.tasks, scenario.tasks, strict=True)):
        at = _at(machine, tables.scenario, "tasks", "struct scenario_task", number)
        tables.task_addresses.append(at)
        entry["scenario"], entry["cpu"] = tables.address, task.cpu
        entry["shares_cpu"] = cpus.count(task.cpu) > 1
        entry["random"] = random.getrandbits(64) | 1
        if isinstance(task, CTask):
            entry["function"] = machine.address_of(task.code.function)
            entry["argument"] = task.argument
        else:
            _write_operations(machine, scenario, entry, task)


def _write_operations(
    machine: Memory, scenario: Scenario, entry: Any, task: Task | Interrupt
) -> None:
    if not task.operations:
        return
    packed = pack(scenario, task, machine.layout)
    entry["nr_operations"] = len(packed)
    entry["operations"] = machine.alloc_constant("struct operation", len(packed))
    machine.view(int(entry["operations"]), "struct operation", len(packed))[:] = packed


def _write_interrupts(machine: Memory, scenario: Scenario, tables: Tables) -> None:
    lines = [0] * scenario.cpus
    for number, (record, interrupt) in enumerate(
        zip(tables.interrupts, scenario.interrupts, strict=True)
    ):
        at = _at(machine, tables.scenario, "interrupts", "struct scenario_interrupt", number)
        tables.interrupt_addresses.append(at)
        record["nmi"], record["times"] = interrupt.nmi, interrupt.times
        record["line"] = lines[interrupt.cpu]
        lines[interrupt.cpu] += 1
        entry = record["task"]
        entry["scenario"], entry["cpu"] = tables.address, interrupt.cpu
        if interrupt.code is not None:
            entry["function"] = machine.address_of(interrupt.code.function)
            entry["argument"] = interrupt.argument
        else:
            _write_operations(machine, scenario, entry, interrupt)
