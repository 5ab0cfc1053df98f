"""An explored program on the real machine: one attempt to force a run is one machine.

Each attempt boots a machine, so it begins from a fresh state, whatever the one before has done.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from testbed.build import Flavour, Request, build
from testbed.cache import Core
from testbed.config import Poke, usable_cores
from testbed.errors import MachineFrozen, MachineLost, MachineTimeout, MachineUnable
from testbed.explore.target import Target
from testbed.findings import Finding, Kind
from testbed.gates.plan import Gate, GateKind, Plan
from testbed.layout import Layout
from testbed.machine import Machine, MachineConfig, State
from testbed.report.addresses import Addresses, text_spans
from testbed.report.model import Reading, RunFacts, from_machine
from testbed.scenario.model import CTask, Scenario
from testbed.scenario.table import write
from testbed.symbols import Symbols
from testbed.text.image import Image, build_image

# A CPU waits for its turn so long, s; then a wait is a hang, ms.
PATIENCE_S = 0.2
HANG_MS = 600

# Longer than an attempt takes whose tasks wait for each other, s.
END_S = 5.0
LOOK_S = 0.02

# All CPUs rest if they do so at so many looks, that far apart, s.
QUIET_LOOKS = 4
QUIET_S = 0.001
SETTLE_S = 0.5

STARTERS = 2
NAME_LENGTH = 36  # struct explored_task
CPU_OFFSET, TASK_SIZE = 16, 64
STORE_OF = {"explored_tasks": TASK_SIZE, "explored_cpus": 4}


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended.

    Attributes:
        findings: that the machine made.
        forced: all turns came in their order.
        stuck: the turn that did not end in time, None if all did.
        came: whether the CPU of that turn had come to its gate.
        discarded: an assumption did not hold.
        problem: why nothing can be said of it, "" if something can.
    """

    findings: tuple[Finding, ...] = ()
    forced: bool = False
    stuck: int | None = None
    came: bool = False
    discarded: bool = False
    problem: str = ""


@dataclass
class Program:
    """A target in a core with gates.

    Args:
        target: what to run.
        core: of flavour GATED, with the target's files.
        facts: of the run, for reports.
        cpus: of each machine.
        image: text, None for C files, which call none.
    """

    target: Target
    core: Core
    facts: RunFacts
    cpus: int
    image: Image | None = None

    @property
    def layout(self) -> Layout:
        """Of the core."""
        return Layout.of(self.core)

    def attempt(self, plan: Plan, access: Sequence[int], skew: Sequence[int] = ()) -> Attempt:
        """Run it once through the gates of `plan`.

        Args:
            plan: which CPU waits for which, and where.
            access: of both sides of a data race, see ``struct gates``.
            skew: how much later than at the same time two CPUs go, cycles.
        """
        scenario = self.target.scenario
        config = MachineConfig(
            cpus=self.cpus, cores=max(self.cpus, usable_cores()), tick_us=0, hang_ms=HANG_MS,
            stall_ms=HANG_MS, poke=scenario.poke if scenario else Poke.INT3,
            preempt=self.target.preempt,
            fail_arm=scenario.fail_arm if scenario else 0, device_us=0,
        )  # fmt: skip
        with Machine(self.core, self.image, config) as machine:
            record = machine.global_("gates")[()]
            problem, begun = "", (time.monotonic_ns(), _cycles(machine))
            try:
                machine.call("slab_leak_mark")
                self._fill(machine, record, plan, access)
                record["skew"][: len(skew)] = skew
                if machine.call("gates_start") < 0:
                    raise MachineUnable("its tasks could not be started")
                self._wait(machine, record)
                if not int(record["discarded"]):
                    _settle(machine)
                    machine.call("gates_check", timeout=END_S)
                    machine.call("slab_audit", timeout=END_S)
            except MachineFrozen:
                pass
            except (MachineLost, MachineTimeout) as error:
                problem = str(error)
            return self._judge(machine, record, plan, problem, begun)

    def _fill(self, machine: Machine, record: Any, plan: Plan, access: Sequence[int]) -> None:
        record["patience_ns"] = int(PATIENCE_S * 1e9)
        record["nr_gates"], record["nr_turns"] = len(plan.gates), plan.turns
        record["access"][: len(access)] = access
        last: dict[int, int] = {}
        for number, gate in enumerate(plan.gates):
            _write_gate(record["gate"][number], gate)
            if gate.event.cpu in last:
                record["gate"][last[gate.event.cpu]]["next"] = number + 1
            else:
                record["cpu"][gate.event.cpu]["next"] = number + 1
            last[gate.event.cpu] = number
        if self.target.scenario is not None:
            _write_scenario(machine, record, self.target.scenario)

    def _wait(self, machine: Machine, record: Any) -> None:
        deadline = time.monotonic() + END_S
        while not int(record["discarded"]):
            state = machine.wait(LOOK_S)
            if state is State.LOST:
                raise MachineLost(machine.lost)
            if state is State.FROZEN:
                raise MachineFrozen("a finding was made")
            if state is State.FINISHED:
                return
            if time.monotonic() > deadline:
                raise MachineTimeout(f"its tasks did not end within {END_S:.0f} s")

    def _judge(
        self, machine: Machine, record: Any, plan: Plan, problem: str, begun: tuple[int, int]
    ) -> Attempt:
        elapsed = time.monotonic_ns() - begun[0]
        rate = (_cycles(machine) - begun[1]) / elapsed if begun[1] else 1.0
        spans = text_spans(self.image) if self.image is not None else ()
        reading = Reading(
            Addresses(Symbols.of(self.core), spans), cycles_per_ns=max(rate, 0.1),
            now_ns=time.monotonic_ns(), read_source=self.core.source,
        )  # fmt: skip
        made = tuple(from_machine(machine.record, self.facts, reading))
        lost = [finding for finding in made if finding.kind is Kind.CPU_LOST]
        findings = tuple(finding for finding in made if finding.kind is not Kind.CPU_LOST)
        if lost and not findings:
            problem = problem or lost[0].sentence
        turn, opened = int(record["turn"]), int(record["open"])
        came = any(gate.turn == turn for gate in _passed(record, plan))
        # Who went last may well wait for somebody who is held where the run ended.
        forced = turn >= plan.turns or (turn == plan.turns - 1 and came)
        if any(gate.kind is GateKind.START for gate in plan.gates):
            forced = forced and int(record["started"]) == STARTERS
        return Attempt(
            findings, forced, None if forced else (opened - 1 if opened else turn), came,
            bool(int(record["discarded"])), problem,
        )  # fmt: skip


def _settle(machine: Machine) -> None:
    """Wait until all that tasks have left behind is done: every CPU sleeps, look after look."""
    deadline, quiet = time.monotonic() + SETTLE_S, 0
    while quiet < QUIET_LOOKS and time.monotonic() < deadline:
        cpus = machine.record["cpu"][: machine.config.cpus]
        rests = bool(cpus["sleeping"].all()) and not cpus["nr_running"].any()
        quiet = quiet + 1 if rests else 0
        time.sleep(QUIET_S)


def _passed(record: Any, plan: Plan) -> list[Gate]:
    """Return the gates that CPUs have come to."""
    left: dict[int, int] = {}
    passed = []
    for gate in plan.gates:
        cpu = gate.event.cpu
        left.setdefault(cpu, int(record["cpu"][cpu]["passed"]))
        if left[cpu]:
            left[cpu] -= 1
            passed.append(gate)
    return passed


def _write_gate(record: Any, gate: Gate) -> None:
    record["site"][: len(gate.sites)] = gate.sites
    record["addr"], record["area"] = gate.address, int(gate.area)
    record["nth"], record["cpu"] = gate.nth, gate.event.cpu
    record["kind"], record["turn"] = int(gate.kind), gate.turn
    record["follows"], record["sources"] = gate.follows, gate.sources


def _write_scenario(machine: Machine, record: Any, scenario: Scenario) -> None:
    tables = write(machine, scenario, Random(0), 0)
    record["nr_tasks"] = len(scenario.tasks)
    for number, task in enumerate(scenario.tasks):
        name = task.code.function if isinstance(task, CTask) else "task"
        entry = record["task"][number]
        entry["function"] = machine.address_of("scenario_run_once")
        entry["argument"], entry["cpu"] = tables.task_addresses[number], task.cpu
        entry["name"] = f"{name}/{number}".encode()[: NAME_LENGTH - 1]
    record["nr_interrupts"] = len(scenario.interrupts)
    for number, one in enumerate(scenario.interrupts):
        entry = record["interrupt"][number]
        entry["function"] = machine.address_of("scenario_interrupt")
        entry["argument"] = tables.interrupt_addresses[number]
        entry["cpu"], entry["nmi"], entry["times"] = one.cpu, one.nmi, one.times
    for role, code in (("before", scenario.before), ("check", scenario.after)):
        record[role] = machine.address_of(code.function) if code else 0


def _cycles(machine: Machine) -> int:
    cpus = machine.record["cpu"][: machine.config.cpus]
    return int(cpus["ring"]["event"]["tsc"].max())


def build_program(target: Target, request: Request, facts: RunFacts, cpus: int) -> Program:
    """Return `target` in a core with gates.

    Args:
        target: what to run.
        request: patches and macros; its flavour and files do not matter.
        facts: for reports; the core's own build id is put in.
        cpus: of the machine; 0 = as many as the tasks need.
    """
    core = build(Request(Flavour.GATED, request.patches, target.sources, request.defines))
    image = None
    scenario = target.scenario
    if scenario is not None:
        symbols = Layout.of(core).symbols().items()
        imports = {name: one.address for name, one in symbols if name.startswith("import_")}
        image = build_image(library=None, imports=imports)
    needed = scenario.cpus if scenario is not None else _needed_cpus(core)
    facts = replace(facts, build_id=core.build_id)
    return Program(target, core, facts, max(cpus, needed, 1), image)


def _needed_cpus(core: Core) -> int:
    """Return how many CPUs the tasks of C files need, and EXPLORE_CPUS asks for."""
    from elftools.elf.elffile import ELFFile

    needed = 1
    with core.path.open("rb") as file:
        elf = ELFFile(file)
        for name, size in STORE_OF.items():
            section = elf.get_section_by_name(name)
            data = section.data() if section is not None else b""
            for start in range(0, len(data) - size + 1, size):
                offset = start + (CPU_OFFSET if size == TASK_SIZE else 0)
                (value,) = struct.unpack_from("<I", data, offset)
                needed = max(needed, value + (size == TASK_SIZE))
    return needed
