"""From the records of a stopped machine to findings: numbers in, names and sentences out."""

import signal as signals
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed.findings import (
    CpuState,
    Environment,
    Excerpt,
    Finding,
    Kind,
    Place,
    Registers,
    Side,
    TextBytes,
    is_plumbing,
    place_of,
    signature,
    title,
)
from testbed.kinds import (
    BYTES,
    HELD_BY_ITSELF,
    HEXADECIMAL,
    HEXADECIMAL_KINDS,
    WORDS,
    bytes_text,
    kind_of,
    refcount_fault,
)
from testbed.report.addresses import Addresses, is_text
from testbed.report.timeline import merged_timeline
from testbed.report.waits import all_waits, task_label, wait_name, waiting_of

# Source lines shown before and after a place, and frames of a side that get any.
CONTEXT_LINES = 4
FRAMES_WITH_SOURCE = 3

TASK_IDLE = 0
REGISTER_NAMES = Registers.__struct_fields__

ReadSource = Callable[[str], Sequence[str] | None]


@dataclass(frozen=True)
class RunFacts:
    """What a report says of the run that a finding comes from; see `Finding` for the fields."""

    harness: str
    claim: str
    seed: int
    options: dict[str, str]
    command: tuple[str, ...]
    version: str
    build_id: str
    environment: Environment
    patches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What is needed to read a machine's records.

    Attributes:
        addresses: names for addresses.
        cycles_per_ns: of the time stamps.
        now_ns: machine time when it was stopped, 0 if not known.
        read_source: gives the lines of a source file by its name in the debug information.
    """

    addresses: Addresses
    cycles_per_ns: float = 1.0
    now_ns: int = 0
    read_source: ReadSource = field(default=lambda _file: None)


def from_machine(machine: Any, facts: RunFacts, reading: Reading) -> Iterator[Finding]:
    """Yield the findings of a stopped machine, in the order in which they were made.

    Args:
        machine: one numpy record of ``struct machine`` (shm_layout/machine.h).
        facts: about the run.
        reading: how to read addresses and times.
    """
    nr_cpus = int(machine["config"]["cpus"])
    made = min(int(machine["nr_findings"]), len(machine["finding"]))
    for record in machine["finding"][:made]:
        # A place can be claimed and never filled in, when its CPU was frozen before.
        if int(record["kind"]):
            yield _Reader(machine, nr_cpus, facts, reading).finding(record)


def make_finding(
    facts: RunFacts, kind: Kind, sentence: str, values: Mapping[str, int] | None = None,
    place: Place | None = None,
) -> Finding:
    """Return a finding that Python itself made, looking at a machine's results.

    Args:
        facts: about the run.
        kind: the bug class.
        sentence: what was found, with its values.
        values: named as `WORDS` of the kind says.
        place: what it is about, if that tells this bug from others of its kind.
    """
    here = Side(cpu=-1, task_name="testbed", stack=(place,) if place else ())
    return complete(facts, kind, here, None, sentence, dict(values or {}), {})


def complete(
    facts: RunFacts, kind: Kind, here: Side, other: Side | None, sentence: str,
    values: dict[str, int], value_text: dict[str, str], **more: Any,
) -> Finding:
    """Return a finding with its title and signature; `more` are further fields of it."""
    digest, readable = signature(kind, here, other)
    return Finding(
        kind=kind,
        title=title(kind, here, other, value_text),
        sentence=sentence,
        claim=facts.claim,
        harness=facts.harness,
        seed=facts.seed,
        options=facts.options,
        command=facts.command,
        version=facts.version,
        build_id=facts.build_id,
        here=here,
        other=other,
        values=values,
        value_text=value_text,
        patches=facts.patches,
        environment=facts.environment,
        signature=digest,
        signature_text=readable,
        **more,
    )


@dataclass(frozen=True)
class _Reader:
    """Reads one machine's records."""

    machine: Any
    nr_cpus: int
    facts: RunFacts
    reading: Reading

    def finding(self, record: Any) -> Finding:
        """Return one ``struct finding`` with everything around it."""
        kind = kind_of(int(record["kind"]))
        registers = _registers(record["regs"]) if int(record["has_regs"]) else None
        values = dict(zip(WORDS[kind].values, record["value"].tolist(), strict=False))
        here = self._here(record["here"], kind, registers, values)
        other = self._side(record["other"]) if int(record["other"]["tsc"]) else None
        value_text = {
            name: self._value_text(kind, name, value) for name, value in values.items()
        }
        tasks = self.machine["task"]
        cpus = self.machine["cpu"][: self.nr_cpus]
        addresses = self.reading.addresses
        return complete(
            self.facts, kind, here, other, sentence(kind, here, other, value_text), values,
            value_text,
            registers=registers,
            text=self._text(record, registers, values),
            cpus=tuple(self._cpu_state(number) for number in range(self.nr_cpus)),
            timeline=merged_timeline(
                cpus, here, other, self.reading.cycles_per_ns, addresses,
                tuple(task_label(tasks, index) for index in range(len(tasks))),
            ),
            cycles_per_ns=self.reading.cycles_per_ns,
            waits=all_waits(tasks, self.nr_cpus, self.reading.now_ns, addresses),
            sources=excerpts((here, other), self.reading.read_source),
        )

    def _here(
        self, record: Any, kind: Kind, registers: Registers | None, values: Mapping[str, int]
    ) -> Side:
        """Return the side that met it; a trap's place is the instruction that trapped."""
        side = self._side(record, registers.ip if registers else 0)
        trapped = values.get("text_address", 0) if kind is Kind.UNKNOWN_TRAP else 0
        if registers is None or not is_text(trapped):
            return side
        # After an int3 the instruction pointer is already behind it.
        rest = side.stack[1:] if is_text(registers.ip) else side.stack
        return _replace_stack(side, self.reading.addresses.places(trapped) + rest)

    def _side(self, record: Any, ip: int = 0) -> Side:
        """Return a side; `ip` is where it was interrupted, if it was."""
        task, cpu = int(record["task"]), int(record["cpu"])
        stack = record["stack"].tolist()
        if cpu < self.nr_cpus:
            frozen = self.machine["cpu"][cpu]["frozen"]
            ip = ip or int(frozen["regs"]["ip"])
            if not stack[0] and int(frozen["valid"]):
                task = int(frozen["task"])
                # One that idles does so on the thread of whichever task blocked last.
                if int(self.machine["task"][task]["class"]) != TASK_IDLE:
                    stack = frozen["stack"].tolist()
        return Side(
            cpu=cpu,
            task_index=task,
            task_name=task_label(self.machine["task"], task),
            tsc=int(record["tsc"]),
            stack=self.reading.addresses.stack(stack, first_is_exact=stack[0] == ip),
        )

    def _cpu_state(self, number: int) -> CpuState:
        cpu = self.machine["cpu"][number]
        tasks, frozen = self.machine["task"], cpu["frozen"]
        task = int(frozen["task"])
        if not int(frozen["valid"]):
            return CpuState(cpu=number, task="", lost=bool(cpu["lost"]))
        if task < len(tasks) and int(tasks[task]["class"]) == TASK_IDLE:
            # It idles on the thread of whichever task blocked last: that stack means nothing.
            return CpuState(cpu=number, task=task_label(tasks, task), idle=True)
        stack = frozen["stack"].tolist()
        # Who made the finding froze by itself: it was not interrupted and has no registers.
        ip = int(frozen["regs"]["ip"])
        addresses = self.reading.addresses
        return CpuState(
            cpu=number,
            task=task_label(tasks, task),
            stack=addresses.stack(stack, first_is_exact=stack[0] == ip),
            registers=_registers(frozen["regs"]) if ip else None,
            lost=bool(cpu["lost"]),
            waiting=waiting_of(tasks, task, self.nr_cpus, self.reading.now_ns, addresses)
            if task < len(tasks) else None,
        )

    def _text(
        self, record: Any, registers: Registers | None, values: Mapping[str, int]
    ) -> TextBytes | None:
        address = int(record["bytes_addr"])
        if not address:
            return None
        ip = registers.ip if registers else values.get("text_address", address)
        return TextBytes(
            address=address,
            ip=ip,
            expected=bytes(record["bytes_expected"]).hex(),
            found=bytes(record["bytes_found"]).hex(),
            place=self.reading.addresses.code(ip),
        )

    def _value_text(self, kind: Kind, name: str, value: int) -> str:
        """Return a value as prose shows it, by what its name says that it is."""
        match name:
            case "signal":
                return signal_name(value)
            case "refcount_fault":
                return refcount_fault(value)
            case "wait_kind":
                return wait_name(value)
            case "task":
                return task_label(self.machine["task"], value)
            case "wait_status":
                return _wait_status(value)
            case "function" | "text_address" | "called" | "start":
                return self.reading.addresses.code(value)
            case "object" | "probe" | "pointer" | "grace_period":
                return self.reading.addresses.data(value)
        if name in BYTES:
            return bytes_text(value)
        plain = name not in HEXADECIMAL and kind not in HEXADECIMAL_KINDS and value < 2**32
        return str(value) if plain else f"{value:#x}"


def sentence(
    kind: Kind, here: Side, other: Side | None, value_text: Mapping[str, str]
) -> str:
    """Return what happened this time, in words that fit the kind and nothing else."""
    words = WORDS[kind]
    names = dict.fromkeys(words.values, "?") | dict(value_text)
    names["stalled_cpu"] = f"CPU {names.get('cpu', '?')}"
    names["cpu"] = f"CPU {here.cpu}" if here.cpu >= 0 else "the check at the end"
    names["other_cpu"] = f"CPU {other.cpu}" if other else "another CPU"
    here_place, there = place_of(here), place_of(other)
    names["here"] = here_place.name() if here_place else "an unknown place"
    names["other"] = there.name() if there else "an unknown place"
    alone = kind is Kind.DEADLOCK and names["tasks_in_cycle"] == "1"
    return (HELD_BY_ITSELF if alone else words.sentence).format_map(names)


def excerpts(sides: Sequence[Side | None], read_source: ReadSource) -> tuple[Excerpt, ...]:
    """Return the source around the innermost places of `sides` that are not plumbing."""
    found: dict[tuple[str, int], Excerpt] = {}
    for side in sides:
        places = side.stack if side else ()
        wanted = [place for place in places if not is_plumbing(place)] or places
        for place in wanted[:FRAMES_WITH_SOURCE]:
            lines = read_source(place.file) if place.line else None
            if lines and place.line <= len(lines):
                found[place.file, place.line] = _excerpt(place, lines)
    return tuple(found.values())


def _excerpt(place: Place, lines: Sequence[str]) -> Excerpt:
    first = max(1, place.line - CONTEXT_LINES)
    shown = lines[first - 1 : place.line + CONTEXT_LINES]
    lines_shown = tuple(line.rstrip().expandtabs(8) for line in shown)
    return Excerpt(place.file, first, place.line, lines_shown)


def _registers(record: Any) -> Registers:
    return Registers(**{name: int(record[name]) for name in REGISTER_NAMES})


def _replace_stack(side: Side, stack: tuple[Place, ...]) -> Side:
    return Side(side.cpu, side.task_index, side.task_name, side.tsc, stack)


def signal_name(number: int) -> str:
    """Return ``SIGSEGV`` for 11; the number as text if it has no name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _wait_status(status: int) -> str:
    number = status & 0x7F
    if status & 0xFF == 0x7F:
        return f"was stopped by {signal_name(status >> 8 & 0xFF)}"
    if number:
        return f"was killed by {signal_name(number)}"
    return f"ended with status {status >> 8 & 0xFF}"
