"""The CPUs' event rings merged into one story around a finding."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from testbed.findings import Event, Side
from testbed.report.addresses import Addresses

# How many events a report keeps: the newest of each CPU, and those around the other side, which
# may be long ago.
PER_CPU = 48
AROUND_OTHER = 16

STOP_STATES = ("none", "prepare", "disable-irq", "run", "exit")
IRQ_BITS = {0x1: "call", 0x2: "resched", 0x4: "tick", 0x8: "request", 0x10: "time is over",
            0x20: "give way", 0x40: "timer", 0x80: "work", 0x10000: "rearm", 0x20000: "rcu",
            } | {0x100 << line: f"device {line}" for line in range(8)}
INT3_OWNERS = ("nobody's", "a poke's", "a kprobe's")

# In the order of enum event_type (shm_layout/ring.h): name, and what to write, with how `a` and
# `b` read after the colon.
EVENTS: tuple[tuple[str, str], ...] = (
    ("none", ""),
    ("irq", "interrupt: {a:irq}{b:at}"),
    ("ipi-send", "interrupts CPU {a}: {b:irq}"),
    ("call-send", "cross call {a:code} to {b} CPUs"),
    ("call-run", "runs cross call {a:code} with {b:data}"),
    ("switch", "switches to {a:task}{b:preempted}"),
    ("wake", "wakes {a:task} on CPU {b}"),
    ("stop-state", "stop_machine reached {a:stop}, to run {b:code}"),
    ("gp-start", "grace period {a} starts"),
    ("gp-end", "grace period {a} ends"),
    ("qs", "quiescent for grace period {a}{b:late}"),
    ("poke", "pokes {a:code}: {b:bytes}"),
    ("int3", "int3 at {a:code}, {b:owner}"),
    ("singlestep", "single-stepped to {a:code}, slot {b}"),
    ("handler", "handler of probe {a:data} at {b:code}"),
    ("missed", "missed hit of probe {a:data} at {b:code}"),
    ("register", "registers probe {a:data}: {b:result}"),
    ("unregister", "unregisters probe {a:data} at {b:code}"),
    ("enable", "enables probe {a:data}: {b:result}"),
    ("disable", "disables probe {a:data}: {b:result}"),
    ("alloc", "allocates {a:data}, {b} bytes"),
    ("free", "frees {a:data}, {b} bytes"),
    ("text-call", "calls {a:code}"),
    ("finding", "finding: {a:kind} {b:data}"),
    ("user", "harness: {a:hex} {b:hex}"),
    ("nmi", "NMI: {a:lines}{b:at}"),
)
EVENT_NAMES = tuple(name for name, _ in EVENTS)


@dataclass(frozen=True)
class Argument:
    """One of an event's two numbers, formatted by what it means: see `EVENTS`."""

    value: int
    addresses: Addresses
    tasks: tuple[str, ...]

    def __format__(self, meaning: str) -> str:
        value = self.value
        match meaning:
            case "code":
                return self.addresses.code(value)
            case "data":
                return self.addresses.data(value)
            case "hex":
                return f"{value:#x}"
            case "bytes":
                return value.to_bytes(8, "little").hex(" ")
            case "task":
                return self.tasks[value] if value < len(self.tasks) else f"task {value}"
            case "irq":
                return irq_names(value)
            case "lines":
                return " ".join(f"line {line}" for line in range(8) if value >> line & 1)
            case "result":
                return result_name(value)
            case "kind":
                return kind_name(value)
            case "stop":
                return STOP_STATES[value] if value < len(STOP_STATES) else str(value)
            case "owner":
                return INT3_OWNERS[value] if value < len(INT3_OWNERS) else str(value)
            case "at":
                return f", at {self.addresses.code(value)}" if value else ", polled"
            case "preempted":
                return ", preempted" if value else ""
            case "late":
                return ", reported late" if value else ""
        return str(value)


def merged_timeline(
    cpus: Any, here: Side, other: Side | None, cycles_per_ns: float,
    addresses: Addresses, tasks: tuple[str, ...],
) -> tuple[Event, ...]:
    """Return the events of all CPUs around a finding, oldest first.

    Args:
        cpus: records of ``struct cpu``, shape ``[cpus]``.
        here: its time is 0 of the timeline; without one, the newest event's is.
        other: events of its CPU around its time are kept as well, if they are still there.
        cycles_per_ns: of the time stamps.
        addresses: names for arguments.
        tasks: names by index.
    """
    rings = [ring_events(cpu["ring"]) for cpu in cpus]
    newest = max((ring[-1][0] for ring in rings if ring), default=0)
    zero = here.tsc or newest
    events = []
    for number, ring in enumerate(rings):
        keep = set(ring[-PER_CPU:])
        if other is not None and other.cpu == number and other.tsc:
            nearest = sorted(ring, key=lambda entry: abs(entry[0] - other.tsc))
            keep.update(nearest[:AROUND_OTHER])
        for tsc, kind, task, a, b in keep:
            events.append(Event(
                cpu=number,
                ns=round((tsc - zero) / cycles_per_ns),
                type=EVENT_NAMES[kind] if kind < len(EVENTS) else f"event-{kind}",
                task=tasks[task] if task < len(tasks) else str(task),
                a=a,
                b=b,
                text=event_text(kind, a, b, addresses, tasks),
            ))
    return tuple(sorted(events, key=lambda event: (event.ns, event.cpu)))


def ring_events(ring: Any) -> list[tuple[int, int, int, int, int]]:
    """Return the (tsc, type, task, a, b) of a ``struct ring``, oldest first."""
    rows: Iterable[tuple[int, int, int, int, int]] = zip(
        *(ring["event"][name].tolist() for name in ("tsc", "type", "task", "a", "b")), strict=True
    )
    return sorted(row for row in rows if row[0])


def event_text(
    kind: int, a: int, b: int, addresses: Addresses, tasks: tuple[str, ...]
) -> str:
    """Return one event as a short phrase without its CPU and time."""
    template = EVENTS[kind][1] if kind < len(EVENTS) else "{a:hex} {b:hex}"
    return template.format(a=Argument(a, addresses, tasks), b=Argument(b, addresses, tasks))


def irq_names(bits: int) -> str:
    """Return the pending interrupts (IRQ_*) in `bits` by name."""
    names = [name for bit, name in IRQ_BITS.items() if bits & bit]
    return " ".join(names) if names else "nothing"


def result_name(value: int) -> str:
    """Return a kernel result as "ok" or the name of its error."""
    number = 2**64 - value if value >= 2**63 else 0
    if number:
        return f"-{errno.errorcode.get(number, number)}"
    return str(value) if value else "ok"


def kind_name(number: int) -> str:
    """Return the name of ``enum finding_kind``."""
    from testbed.kinds import kind_of

    try:
        return str(kind_of(number))
    except ValueError:
        return str(number)
