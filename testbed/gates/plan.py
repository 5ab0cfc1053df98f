"""From the events of a run of the explorer to gates: where each CPU has to wait for which other.

The run is cut into turns, in each of which one CPU goes. A CPU that comes to the first event of its
next turn has ended the one before. Places are counted from the CPU's last gate, so what other code
it went through before does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from testbed.errors import LayoutError, TestbedError
from testbed.explore.names import Names
from testbed.explore.process import Result
from testbed.gates.sites import Site, Sites
from testbed.kinds import Kind, kind_of
from testbed.layout import Layout

# Events at hooks that the real machine has as well.
PLACES = ("load", "store", "rmw", "await")
# Begun by somebody else, at the hook where the CPU stands.
INTERRUPT = "irq"
IN_TEXT = ("fetch", "sync")
PICK = "pick"
NMI = "nmi"
IDLE = "machine_idle"
TAKE = "machine_take_irqs"


class GateError(TestbedError):
    """A run that cannot be forced on the real machine, with what would be needed."""


class GateKind(IntEnum):
    """``enum gate_kind`` of shm_layout/gates.h."""

    TURN = 0
    NOTE = 1
    IRQ = 2
    STAY = 3
    MEET = 4
    START = 5
    STOP = 6


class Area(IntEnum):
    """``enum gate_area`` of shm_layout/gates.h."""

    ANYWHERE = 0
    IN_STACKS = 1
    IN_MACHINE = 2
    ELSEWHERE = 3


@dataclass(frozen=True)
class Event:
    """An event of the shown run, as far as gates need it."""

    number: int
    cpu: int
    task: int
    kind: str
    pc: int
    address: int
    size: int
    in_irq: bool
    drained: int
    value: int


@dataclass
class Gate:
    """One gate.

    Attributes:
        event: at which it stands.
        site: its place in the source; that of a stop is the last access before it.
        sites: return addresses in the gated core.
        address, area: what is accessed there, see ``struct gate``.
        nth: such access since the gate before.
        follows, sources: see ``struct gate``.
    """

    event: Event
    kind: GateKind
    turn: int
    site: Site
    sites: tuple[int, ...]
    address: int
    area: Area
    nth: int = 1
    follows: bool = False
    sources: int = 0


@dataclass(frozen=True)
class Plan:
    """All gates of a run.

    Attributes:
        gates: in the order of the run.
        turns: how many there are.
        between: of a data race: what else the CPU that came first did before the other one came.
        late: stores that others did not see though they were made before, each as a sentence.
        notes: what the gates cannot do, sentences.
    """

    gates: tuple[Gate, ...]
    turns: int
    between: int = 0
    late: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


class Planner:
    """Makes gates of runs of one program.

    Args:
        virtual: calls of hooks in the explored core.
        gated: those in the core that is forced.
        names: of the explored core's data.
        layout: of the gated core.
    """

    def __init__(self, virtual: Sites, gated: Sites, names: Names, layout: Layout) -> None:
        self._virtual, self._gated, self._names, self._layout = virtual, gated, names, layout
        numbers = names.layout.enum("event_kind").items()
        self._kinds = {number: name.removeprefix("EVENT_KIND_").lower() for name, number in numbers}
        self._in_irq = names.layout.constant("SHOWN_IN_IRQ")
        machine = layout.offset("struct machine", "task")
        tasks = layout.dtype("struct machine").fields
        assert tasks is not None
        self._machine = range(layout.constant("ARENA_BASE"),
                              layout.constant("ARENA_BASE") + layout.sizeof("struct machine"))
        start = self._machine.start + machine
        self._tasks = range(start, start + tasks["task"][0].itemsize)

    def plan(self, result: Result) -> Plan:
        """Return the gates of a shown run.

        Raises:
            GateError: it cannot be forced.
        """
        events = [self._read(number, event) for number, event in enumerate(result.shown)]
        if any(one.kind == NMI for one in events):
            raise GateError("an NMI comes in this run, and a gate can bring about no NMI")
        late = tuple(self._late(events))
        race = self._race(result, events)
        between = 0
        if race is not None:
            stays, meets = race
            between = sum(
                one.cpu == stays.cpu and one.kind in PLACES
                and stays.number < one.number < meets.number
                for one in events
            )  # fmt: skip
            events = [one for one in events
                      if one.cpu != stays.cpu or one.number <= stays.number]  # fmt: skip
        notes = []
        if any(one.kind in IN_TEXT for one in events):
            notes.append(
                "a hook cannot stand in text: where a CPU changes over while it runs text, it is "
                "held at the access before"
            )
        if any(one.kind == PICK for one in events):
            notes.append("which of several versions of patched text a CPU fetches cannot be forced")
        window = self._window(events) if late else None
        gates, turns = self._gates(events, race, window)
        limit = self._layout.dtype("struct gates").fields
        assert limit is not None
        most = int(limit["gate"][0].shape[0])
        if len(gates) > most:
            raise GateError(f"{len(gates)} gates, and there can be {most}: the run is too long")
        return Plan(tuple(gates), turns, between, late, tuple(notes))

    def _read(self, number: int, event: Any) -> Event:
        return Event(
            number, int(event["cpu"]), int(event["task"]), self._kinds[int(event["kind"])],
            int(event["pc"]), int(event["addr"]), int(event["size"]),
            bool(int(event["flags"]) & self._in_irq), int(event["drained"]), int(event["value"]),
        )  # fmt: skip

    def _late(self, events: Sequence[Event]) -> list[str]:
        """Return what was read by a CPU while another one's store to it had not reached memory."""
        held: dict[int, Event] = {}
        found: dict[str, None] = {}
        for event in events:
            if event.kind == "store":
                held[event.number] = event
            elif event.kind == "drain":
                held.pop(event.drained, None)
            elif event.kind in ("load", "rmw", "await"):
                for store in held.values():
                    if store.cpu != event.cpu and _overlap(store, event):
                        name = self._names.name(store.address, store.size)
                        found[f"CPU {event.cpu} reads {name} before CPU {store.cpu}'s store to it "
                              "has left the buffer"] = None  # fmt: skip
        return list(found)

    def _window(self, events: Sequence[Event]) -> tuple[Event, Event] | None:
        """Return where two CPUs are to go at once: at the first store that is seen late.

        The other one goes from its first access after that, since all it did before the store
        reached memory may be what the store must not overtake.
        """
        held: dict[int, Event] = {}
        for event in events:
            if event.kind == "store":
                held[event.number] = event
            elif event.kind == "drain":
                held.pop(event.drained, None)
            elif event.kind in ("load", "rmw", "await"):
                for store in held.values():
                    if store.cpu != event.cpu and _overlap(store, event):
                        after = (one for one in events if one.number > store.number
                                 and one.cpu == event.cpu and one.kind in PLACES)  # fmt: skip
                        return store, next(after)
        return None

    def _race(self, result: Result, events: Sequence[Event]) -> tuple[Event, Event] | None:
        """Return the two accesses of a data race, the one that came first first."""
        record: Any = result.finding
        if record is None or kind_of(int(record["kind"])) is not Kind.DATA_RACE:
            return None
        values = record["value"].tolist()
        here = _last(events, int(record["here"]["cpu"]), int(record["here"]["stack"][0]), values[0])
        other = _last(
            events, int(record["other"]["cpu"]), int(record["other"]["stack"][0]), values[4]
        )
        if here is None or other is None:
            raise GateError("one of the two accesses is not among the events that are shown")
        if here.cpu == other.cpu:
            raise GateError("both accesses are of one CPU: an interrupt cannot be held against "
                            "what it interrupts")  # fmt: skip
        return (other, here) if other.number < here.number else (here, other)

    def _gates(
        self, events: Sequence[Event], race: tuple[Event, Event] | None,
        window: tuple[Event, Event] | None,
    ) -> tuple[list[Gate], int]:
        making = _Making(self)
        for event in events:
            if window is not None and event is window[0]:
                making.start(window)
                return making.gates, making.turn + 1
            special = None
            if race is not None and event in race:
                special = GateKind.STAY if event is race[0] else GateKind.MEET
            making.add(event, special)
        making.end()
        return making.gates, making.turn + 1

    def place(self, event: Event) -> tuple[Site, tuple[int, ...]] | None:
        """Return the place of an event, and where that is in the gated core; None: nowhere."""
        site = self._virtual.at(event.pc)
        if site is None or not site.places:
            return None
        found = self._gated.find(site)
        limit = self._layout.dtype("struct gate").fields
        assert limit is not None
        if not found or len(found) > int(limit["site"][0].shape[0]):
            return None
        return site, tuple(found)

    def idle(self) -> tuple[Site, tuple[int, ...]] | None:
        """Return where CPUs of the gated core rest; None if that is not known."""
        found = self._gated.calls(IDLE)
        site = self._gated.at(found[0]) if found else None
        return (site, tuple(found)) if site is not None else None

    def datum(self, event: Event) -> tuple[int, Area]:
        """Return the address of what an event accesses in the gated core; 0 = only its area."""
        address = event.address
        if not address or event.kind == INTERRUPT:
            return 0, Area.ANYWHERE
        if address in self._machine:
            return (0, Area.IN_MACHINE) if address in self._tasks else (address, Area.IN_MACHINE)
        found = self._names.variable(address)
        if found is not None:
            name, variable, offset = found
            try:
                there = self._layout.variable(name, variable.file)
                return there.address + offset, Area.ELSEWHERE
            except LayoutError:
                return 0, Area.ELSEWHERE
        start, end, _ = self._names.regions.get("stack of task", (0, 0, 0))
        return 0, Area.IN_STACKS if start <= address < end else Area.ELSEWHERE


class _Making:
    """Gates, as the events go by."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self.gates: list[Gate] = []
        self.turn = -1
        self._current = -1
        # Of each CPU: who interrupts it next; and those that have done nothing since then.
        self._sources: dict[int, int] = {}
        self._rests: set[int] = set()
        # Of each CPU: events since its last gate, where it stood when an interrupt came.
        self._since: dict[int, list[tuple[Event, tuple[int, ...], int, Area]]] = {}
        self._interrupted: dict[int, Event] = {}

    def add(self, event: Event, special: GateKind | None) -> None:
        """Take the next event."""
        if event.kind == "tick":
            self._sources[event.cpu] = self._sources.get(event.cpu, 0) | 1 << event.value
            self._rests.add(event.cpu)
        if event.kind == INTERRUPT:
            self._interrupt(event)
            return
        if event.kind not in PLACES:
            return
        found = self._planner.place(event)
        if found is not None and found[0].hook == TAKE and event.cpu in self._sources:
            self._poll(event)
        self._rests.discard(event.cpu)
        changed = event.cpu != self._current
        if found is None:
            if special is not None:
                raise GateError("one of the two accesses has no place in the real machine's core")
            return
        address, area = self._planner.datum(event)
        back = self._is_back(event)
        if changed or special is not None:
            self.turn += 1
            self._current = event.cpu
            kind = special if special is not None else GateKind.TURN
            gate = Gate(event, kind, self.turn, *found, address, area)
            gate.follows = back
            self._append(gate)
        elif not back:
            self._since.setdefault(event.cpu, []).append((event, found[1], address, area))

    def start(self, window: tuple[Event, Event]) -> None:
        """Let two CPUs go at once, and nobody be held from there on."""
        self.turn += 1
        for event in window:
            found = self._planner.place(event)
            if found is None:
                raise GateError("where two CPUs would have to go at once there is no hook")
            self._append(Gate(
                event, GateKind.START, self.turn, *found, *self._planner.datum(event)
            ))  # fmt: skip

    def end(self) -> None:
        """Hold everybody where the run ended, but for the CPU that went last."""
        for cpu in sorted({gate.event.cpu for gate in self.gates} - {self._current}):
            last = [gate for gate in self.gates if gate.event.cpu == cpu][-1]
            if last.kind is GateKind.STAY:
                continue
            if self._since.get(cpu):
                last = self._note(cpu)
            self.gates.append(Gate(
                last.event, GateKind.STOP, self.turn + 1, last.site, (), 0, Area.ANYWHERE
            ))  # fmt: skip

    def _note(self, cpu: int) -> Gate:
        """Put a gate at the last access of a CPU, from which on it is counted."""
        event, sites, address, area = self._since[cpu][-1]
        found = self._planner.place(event)
        assert found is not None, "it was found before"
        gate = Gate(event, GateKind.NOTE, self.turn, found[0], sites, address, area)
        self._append(gate)
        return gate

    def _is_back(self, event: Event) -> bool:
        """Tell whether this is the access at which the CPU was interrupted: its hook was called."""
        stood = self._interrupted.get(event.cpu)
        if stood is None or event.in_irq or event.task != stood.task:
            return False
        del self._interrupted[event.cpu]
        return event.pc == stood.pc

    def _interrupt(self, event: Event) -> None:
        found = self._planner.place(event)
        if found is None:
            return
        if self._since.get(event.cpu):
            self._note(event.cpu)
        self.turn += 1
        self._current = event.cpu
        self._interrupted[event.cpu] = event
        self._append(Gate(
            event, GateKind.IRQ, self.turn, *found, 0, Area.ANYWHERE,
            sources=self._sources.pop(event.cpu, 0),
        ))  # fmt: skip

    def _poll(self, event: Event) -> None:
        """A CPU finds an interrupt by itself: it rests, or has just turned interrupts on."""
        if event.cpu in self._rests:
            self._wake(event)
            return
        if self._since.get(event.cpu):
            self._note(event.cpu)
        before = [gate for gate in self.gates if gate.event.cpu == event.cpu]
        if before:
            before[-1].sources |= self._sources.pop(event.cpu)

    def _wake(self, event: Event) -> None:
        """Interrupt a CPU that rests: it takes the interrupt by itself, without an event."""
        found = self._planner.idle()
        if found is None:
            raise GateError("an interrupt wakes a CPU, and its core has no place where one rests")
        self.turn += 1
        self._current = event.cpu
        self._append(Gate(
            event, GateKind.IRQ, self.turn, *found, 0, Area.ANYWHERE,
            sources=self._sources.pop(event.cpu),
        ))  # fmt: skip

    def _append(self, gate: Gate) -> None:
        before = self._since.pop(gate.event.cpu, [])
        same = [
            one for one, sites, address, area in before
            if set(sites) & set(gate.sites) and one is not gate.event
            and (address == gate.address if gate.address else
                 gate.area in (Area.ANYWHERE, area))
        ]  # fmt: skip
        # An interrupt comes at whatever is next there: what is hidden there was not counted.
        gate.nth = 1 if gate.kind is GateKind.IRQ else len(same) + 1
        self.gates.append(gate)


def _overlap(one: Event, two: Event) -> bool:
    return one.address < two.address + two.size and two.address < one.address + one.size


def _last(events: Sequence[Event], cpu: int, pc: int, address: int) -> Event | None:
    """Return the last access of a CPU at a place to a datum."""
    found = [one for one in events if one.cpu == cpu and one.pc == pc and one.kind in PLACES]
    touching = [one for one in found if one.address <= address < one.address + max(one.size, 1)]
    chosen = touching or found
    return chosen[-1] if chosen else None


