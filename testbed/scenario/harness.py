"""A scenario as a stress harness: run in rounds, each of which begins on all CPUs together."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from testbed.config import Poke
from testbed.errors import LayoutError
from testbed.harness import Counters, Harness, HarnessError, Option, Run
from testbed.scenario.model import VOCABULARY, CTask, Scenario
from testbed.scenario.table import Tables, write

OPTIONS = (
    Option("delay", 100_000, "Longest random pause before an operation, cycles.", minimum=0,
           maximum=2**31),
    Option("rounds", 0, "End after so many rounds; 0 = when the time is over.", minimum=0),
    Option("write_delay", 0, "Pause between the bytes of a write to text, cycles.", minimum=0),
    Option("fail_arm", 0, "Arming fails once in so many times; 0 = never.", minimum=0),
    Option("device_us", 100, "Devices and NMIs come so often, us on average; 0 = never.",
           minimum=0, maximum=1_000_000),
    Option("fail_alloc", 0, "Allocating fails once in so many times; 0 = never.", minimum=0),
)

# What is shown, by field of struct scenario_counts, if one of these operations is among them.
COUNTED = {
    "calls": ("calls", {"call", "call_in_irq"}),
    "calls surely probed": ("armed_calls", set()),
    "calls in interrupts": ("irq_calls", {"call_in_irq"}),
    "registers": ("registers", {"register", "register_batch"}),
    "unregisters": ("unregisters", {"unregister", "unregister_batch"}),
    "enables": ("enables", {"enable"}),
    "disables": ("disables", {"disable"}),
    "instructions replaced": ("patches", {"patch", "patch_in_place", "bring_up"}),
    "modules unloaded": ("unloads", {"unload"}),
    "modules loaded": ("loads", {"load"}),
    "grace periods": ("grace_periods", {"synchronize_rcu"}),
    "stops of all CPUs": ("stops", {"stop_machine"}),
    "audits": ("audits", {"audit"}),
}


def harness_of(scenario: Scenario, path: Path) -> Harness:
    """Return the harness that runs `scenario`.

    Args:
        scenario: what to run.
        path: the file that it comes from; C files are named relative to it.

    Raises:
        HarnessError: a C file is not there.
    """
    sources = tuple(dict.fromkeys(path.parent / one.file for one in scenario.c_functions))
    for source in sources:
        if not source.is_file():
            raise HarnessError(f"{scenario.name}: {source} is not there: name it as seen from "
                               f"{path.name}")

    def setup(run: Run) -> None:
        tables = _write(run, scenario)
        run.state["tables"] = tables
        for number, address in enumerate(tables.task_addresses):
            task = scenario.tasks[number]
            kind = task.code.function if isinstance(task, CTask) else "task"
            run.machine.spawn(task.cpu, "scenario_run", address, f"{kind}/{number}")

    def counters(run: Run) -> Counters:
        tables: Tables | None = run.state.get("tables")
        return dict(_counters(scenario, tables)) if tables is not None else {}

    return Harness(
        name=scenario.name, path=path, title=scenario.claim, claim=scenario.claim,
        options=_options(scenario), sources=sources, library=None, config={}, setup=setup,
        counters=counters, check=lambda _run: None, choose_library=lambda _options: None,
        cpus=scenario.cpus, expect=scenario.expect, scenario=scenario,
    )  # fmt: skip


def _options(scenario: Scenario) -> tuple[Option, ...]:
    return tuple(
        replace(option, default=scenario.fail_arm) if option.name == "fail_arm" else option
        for option in OPTIONS
    )


def _check_poke(run: Run, scenario: Scenario) -> None:
    patches = any(VOCABULARY[one.name].patches for one in scenario.operations)
    nmi = any(one.nmi for one in scenario.interrupts)
    if nmi and patches and run.machine.config.poke == Poke.STOP_MACHINE:
        raise HarnessError(
            f"{scenario.name}: its NMI comes into what stop_machine has stopped, too, and may run "
            "an instruction while it is half written: use --poke int3"
        )


def _write(run: Run, scenario: Scenario) -> Tables:
    if run.cpus < scenario.cpus:
        raise HarnessError(f"cpus={run.cpus}: {scenario.name} needs {scenario.cpus} CPUs")
    _check_poke(run, scenario)
    try:
        tables = write(run.machine, scenario, run.random, run.options["delay"])
    except LayoutError as error:
        raise HarnessError(f"{scenario.name}: {error}") from error
    tables.scenario["most_rounds"] = run.options["rounds"]
    return tables


def _counters(scenario: Scenario, tables: Tables) -> Iterator[tuple[str, int]]:
    counts = np.concatenate([tables.tasks["counts"], tables.interrupts["task"]["counts"]])
    used = {operation.name for operation in scenario.operations}
    yield "rounds", int(tables.scenario["rounds"])
    yield "operations", int(counts["operations"].sum())
    for shown, (name, operations) in COUNTED.items():
        if used & operations or (not operations and scenario.probes and "call" in used):
            yield shown, int(counts[name].sum())
    taken = tables.interrupts["taken"]
    for shown, nmi in (("interrupts of devices", False), ("NMIs", True)):
        if any(one.nmi == nmi for one in scenario.interrupts):
            yield shown, int(taken[tables.interrupts["nmi"] == nmi].sum())
    if scenario.probes:
        traced = tables.probes["nr_traced"] > 0
        hits = tables.probes["record"]["cpu"]["hits"].sum() + tables.probes["hits"][traced].sum()
        yield "hits", int(hits)
    for shown, name in (
        ("misuses by a race of tasks", "misuses"), ("injected failures", "refused"),
        ("left over", "tidied"), ("module not there, or held", "absent"),
    ):
        if counts[name].any():
            yield shown, int(counts[name].sum())
