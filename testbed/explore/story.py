"""A shown run as a story: who did what in which order, in the words of the program.

What no other CPU could notice is left out; of a long run, what is far from the point as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testbed.explore.names import Names
from testbed.explore.process import Result
from testbed.explore.why import flip_sentence, why_not_ordered
from testbed.findings import Lane, Place, Side, Step, Story, is_plumbing
from testbed.report.model import ReadSource

# Steps of a story at most; of a longer run, those around the end and around each mark are kept.
MOST_STEPS = 70
AROUND = 2
# Fewer events than this are left out without a word.
GAP = 12

BREAKPOINT = 0xCC

# The value of a tick that is the time of a timer: see EVENT_KIND_TICK in shm_layout/explore.h.
TIMER_SOURCE = 9

WRITES = ("store", "rmw", "drain")
ACCESSES = ("load", "await", *WRITES)
# Of interest whatever they touch.
LANDMARKS = ("lock", "unlock", "alloc", "free", "irq", "tick", "nmi", "signal", "fence", "join",
             "switch", "fetch", "pick")  # fmt: skip
# Functions here stand for an operation: who called them is of interest.
VOCABULARY = ("workers/include/", "workers/virtual/", "outside")

# What begins every thread of the kernel.
STARTERS = (*VOCABULARY, "workers/kernel/kthread.c")

# A core with this symbol explores kernels.
KERNEL = "kernel_program"

# A CPU that does nothing else is only there to start the others.
FRAME = ("fence", "join", "exit", "create", "switch")


@dataclass
class Seen:
    """An event as it was read, before it is known whether it matters.

    Attributes:
        number: place in the run, from 0.
        stores: what the CPU's buffer holds afterwards: numbers of events, oldest first.
        others: stores of other CPUs to what is read here, still in their buffers.
        merged: a drain that directly follows its store, and is told with it.
    """

    number: int
    cpu: int
    kind: str
    address: int
    size: int
    value: int
    old: int
    flags: frozenset[str]
    stack: tuple[Place, ...]
    drained: int
    stores: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    merged: bool = False
    text: str = ""
    marks: list[str] = field(default_factory=list)

    @property
    def place(self) -> Place | None:
        """Where it was done: in what a reader would call the code."""
        code = (place for place in self.stack if not place.file.startswith(VOCABULARY))
        return next(code, self.stack[0] if self.stack else None)

    def touches(self, address: int, size: int) -> bool:
        """Tell whether this is an access to one of those bytes."""
        return bool(self.size) and (
            self.address < address + max(size, 1) and address < self.address + self.size
        )


def thread_names(result: Result, names: Names) -> dict[int, str]:
    """Return what each task of a shown run began with, by the task's index.

    That is a function of the program, or the name that TASK() of workers/include/explore.h gave.
    """
    sure: dict[int, str] = {}
    likely: dict[int, str] = {}
    services: dict[int, str] = {}
    for event in result.shown:
        stack = [int(event["pc"]), *event["caller"].tolist()]
        known = [address for address in stack if address]
        places = [place for address in reversed(known)
                  for place in reversed(names.addresses.places(address - 1))]  # fmt: skip
        own = [place for place in places if place.line and not place.file.startswith("workers/")]
        if not own and len(known) < len(stack):
            # A thread of the kernel itself, which never leaves it.
            inside = [place for place in places
                      if place.line and not place.file.startswith(STARTERS)]  # fmt: skip
            # Whoever rests on a CPU has no name: it is the same code for each of them.
            if inside and not is_plumbing(inside[0]):
                services.setdefault(int(event["task"]), inside[0].function)
        if own:
            likely.setdefault(int(event["task"]), _task_name(own[0], names))
            # A chain without a place that is free was cut: its last is not where the task began.
            if len(known) < len(stack):
                sure.setdefault(int(event["task"]), _task_name(own[0], names))
    # In a kernel the last one to rest makes the check at the end, on whatever task it has.
    return services | likely | ({} if KERNEL in names.layout.symbols() else sure)


def _task_name(place: Place, names: Names) -> str:
    task = re.sub("^(run|task)_", "", place.function)
    return task if f"explored_{task}" in names.layout.symbols() else place.name()


class Teller:
    """Tells one run.

    Args:
        result: with its events.
        names: of data and code.
        threads: what tasks began with, by index.
        read_source: gives the lines of a source file.
    """

    def __init__(
        self, result: Result, names: Names, threads: Mapping[int, str], read_source: ReadSource
    ) -> None:
        self.result, self.names, self.threads = result, names, threads
        self._read_source = read_source
        self._kinds = {number: name.removeprefix("EVENT_KIND_").lower()
                       for name, number in names.layout.enum("event_kind").items()}  # fmt: skip
        self._flags = {
            name: names.layout.constant(f"SHOWN_{name.upper()}")
            for name in ("plain", "forwarded", "choice", "intervention", "in_irq", "acquire",
                         "release", "undone")
        }  # fmt: skip
        self.events = [self._read(number, event) for number, event in enumerate(result.shown)]
        self._visible: set[int] = set()
        self._in_nmi = _within_nmis(self.events)
        self._follow_buffers()
        for event in self.events:
            if event.kind == "alloc":
                names.allocated(event.address, event.value)
            event.text = self._text(event)

    def story(
        self, here: Side | None = None, other: Side | None = None,
        objects: tuple[int, int] = (0, 0), unordered: bool = False,
    ) -> Story:  # fmt: skip
        """Return the story.

        Args:
            here: the side that met the finding that the run ended with.
            other: the other one.
            objects: addresses of what the two accessed; 0 = not known.
            unordered: the finding is that nothing orders the two.
        """
        self._mark(here, "here", objects[0])
        self._mark(other, "other", objects[1])
        flip = self.result.flip or ()
        for place, mark in zip(flip, ("first", "second"), strict=False):
            self.events[place].marks.append(mark)
        self._visible = self._shared()
        chosen = self._chosen()
        steps = self._steps(chosen)
        why = list(why_not_ordered(self.events, here, other)) if unordered else []
        if flip:
            why.append(flip_sentence(self.events[flip[0]], self.events[flip[1]]))
        used = sorted({step.cpu for step in steps if step.cpu >= 0})
        return Story(
            schedule=str(self.result.schedule),
            lanes=tuple(Lane(cpu, self._lane_name(cpu)) for cpu in used),
            steps=steps,
            interventions=tuple(self.result.schedule.told()),
            left_out=len(self.events) - len(chosen),
            buffers=tuple(self._left_in_buffers()),
            why=tuple(why),
            flip=tuple(place + 1 for place in flip),
            passing=str(self.result.passing) if self.result.passing is not None else "",
            replays=self.result.replays,
        )

    # Reading.

    def _read(self, number: int, event: Any) -> Seen:
        stack = [int(event["pc"]), *event["caller"].tolist()]
        flags = int(event["flags"])
        return Seen(
            number=number,
            cpu=int(event["cpu"]),
            kind=self._kinds[int(event["kind"])],
            address=int(event["addr"]),
            size=int(event["size"]),
            value=int(event["value"]),
            old=int(event["old"]),
            flags=frozenset(name for name, bit in self._flags.items() if flags & bit),
            stack=self.names.addresses.stack(stack),
            drained=int(event["drained"]),
        )

    def _follow_buffers(self) -> None:
        """Work out what sat in which buffer after each event."""
        buffers: dict[int, list[int]] = {}
        for event in self.events:
            own = buffers.setdefault(event.cpu, [])
            if event.kind == "store":
                own.append(event.number)
            elif event.kind == "drain":
                if event.drained in own:
                    own.remove(event.drained)
                event.merged = event.drained == event.number - 1
            elif event.kind in ("load", "rmw", "await"):
                event.others = tuple(
                    number for cpu, held in buffers.items() if cpu != event.cpu for number in held
                    if self.events[number].touches(event.address, event.size)
                )  # fmt: skip
            event.stores = tuple(own)

    def _mark(self, side: Side | None, mark: str, address: int) -> None:
        """Find the event at which a side of the finding stood, the last that fits."""
        if side is None or not side.stack:
            return
        there = [
            event for event in self.events
            if event.cpu == side.cpu and event.kind != "drain" and event.stack
            and event.stack[0].address == side.stack[0].address
        ]  # fmt: skip
        exact = [event for event in there if event.size and event.touches(address, 1)]
        if there:
            (exact or there)[-1].marks.append(mark)

    # Choosing.

    def _chosen(self) -> list[Seen]:
        kept = [event for event in self.events if self._matters(event)]
        acting = {event.cpu for event in kept if event.kind not in FRAME or event.marks}
        kept = [event for event in kept if event.cpu in acting]
        if len(kept) <= MOST_STEPS:
            return kept
        places = {number for number, event in enumerate(kept)
                  if event.marks or "intervention" in event.flags}  # fmt: skip
        around = {place + step for place in places for step in range(-AROUND, AROUND + 1)}
        left = max(MOST_STEPS - len(around), MOST_STEPS // 3)
        around |= set(range(len(kept) - left, len(kept)))
        return [event for number, event in enumerate(kept) if number in around]

    def _shared(self) -> set[int]:
        """Return the bytes that several CPUs accessed and one of them wrote."""
        users: dict[int, set[int]] = {}
        written: set[int] = set()
        for event in self.events:
            if event.kind in ACCESSES:
                for byte in range(event.address, event.address + event.size):
                    users.setdefault(byte, set()).add(event.cpu)
                    if event.kind in WRITES:
                        written.add(byte)
        return {byte for byte, cpus in users.items() if len(cpus) > 1 and byte in written}

    def _is_visible(self, event: Seen) -> bool:
        """Tell whether several CPUs access some of these bytes."""
        return any(
            byte in self._visible for byte in range(event.address, event.address + event.size)
        )

    def _matters(self, event: Seen) -> bool:
        if event.marks:
            return True
        if event.merged or self._is_start(event):
            return False
        if event.kind in ACCESSES:
            return self._is_visible(event)
        return event.kind in LANDMARKS

    def _is_start(self, event: Seen) -> bool:
        """Tell whether this is the barrier that making a thread is."""
        return event.kind == "fence" and any(
            one.cpu == event.cpu and one.kind == "create" and one.stack[:1] == event.stack[:1]
            for one in self.events[event.number + 1 : event.number + 8]
        )

    # Telling.

    def _steps(self, chosen: Sequence[Seen]) -> tuple[Step, ...]:
        steps: list[Step] = []
        before = -1
        for event in chosen:
            hidden = [one for one in self.events[before + 1 : event.number] if not one.merged]
            if len(hidden) >= GAP:
                steps.append(Step(before + 2, -1, "gap", f"{len(hidden)} events"))
            steps.append(self._step(event))
            before = event.number
        return tuple(steps)

    def _step(self, event: Seen) -> Step:
        place, source = event.place, ""
        if place is not None and place.line:
            lines = self._read_source(place.file) or ()
            source = lines[place.line - 1].strip() if place.line <= len(lines) else ""
        marks = [*event.marks, *(one for one in ("choice", "intervention") if one in event.flags)]
        drained = event.number + 1 < len(self.events) and self.events[event.number + 1]
        at_once = event.kind == "store" and drained and drained.merged
        return Step(
            number=event.number + 1,
            cpu=event.cpu,
            kind=event.kind,
            text=event.text,
            note=self._note(event),
            place=place,
            source=source,
            buffer=tuple(
                self.events[number].text for number in event.stores
                if self._is_visible(self.events[number])
                and "undone" not in self.events[number].flags
                and not (at_once and number == event.number)
            ),
            marks=tuple(dict.fromkeys(marks)),
        )  # fmt: skip

    def _note(self, event: Seen) -> str:
        held = [
            f"{self.events[number].text} of CPU {self.events[number].cpu} is still in its buffer"
            for number in event.others
        ]
        if "forwarded" in event.flags:
            held.append("from its own buffer")
        if "in_irq" in event.flags:
            held.append("in an NMI" if event.number in self._in_nmi else "in an interrupt")
        return "; ".join(held)

    def _text(self, event: Seen) -> str:
        names = self.names
        name = names.name(event.address, event.size) if event.address else ""
        value = names.value(event.address, event.size, event.value)
        old = names.value(event.address, event.size, event.old)
        match event.kind:
            case "load" | "await":
                return f"reads {name} = {value}"
            case "store":
                return f"{name} = {'?' if 'undone' in event.flags else value}"
            case "rmw":
                changed = f"{name} {old} -> {value}" if event.old != event.value else (
                    f"{name} stays {value}"
                )
                return f"{changed} (locked)"
            case "drain":
                return f"{name} = {value} reaches memory"
            case "fetch":
                return self._fetch(event, name)
            case "sync":
                return "synchronizes: fetches anew from here on"
            case "fence":
                return f"{_barrier(event.flags)} barrier"
            case "lock" | "unlock":
                return f"{event.kind}s {name}"
            case "create":
                return f"starts {self._thread(event.value)}"
            case "join":
                return f"joins {self._thread(event.value)}"
            case "alloc":
                return f"allocates {name}, {event.value} bytes"
            case "free":
                return f"frees {'text from ' if names.is_text(event.address) else ''}{name}"
            case "exit":
                return "ends"
            case "irq":
                return "takes an interrupt"
            case "tick":
                if event.value == TIMER_SOURCE:
                    return "the time of a timer has come"
                return f"device {event.value - 1} interrupts" if event.value else "timer fires"
            case "nmi":
                return "returns from the NMI" if event.value else "takes an NMI"
            case "switch":
                return f"switches to {self._thread(event.value)}"
            case "signal":
                return f"wakes who waits for {name}" if name else "wakes another task"
            case "pick":
                after = self.events[event.number + 1 : event.number + 2]
                if after and after[0].kind == "fetch" and after[0].cpu == event.cpu:
                    return (
                        f"{event.old} fetches are possible: takes {event.value} (0 = what memory "
                        "holds)"
                    )
                return option_text(event.value, event.old)
        return f"{event.kind} {name}".strip()

    def _fetch(self, event: Seen, name: str) -> str:
        """Return what a fetch found, and what it might have found."""
        seen = self.names.value(event.address, event.size, event.value)
        there = self.names.value(event.address, event.size, event.old)
        stale = f", though memory holds {there}" if event.value != event.old else ""
        if event.value & 0xFF == BREAKPOINT:
            return f"meets a breakpoint at {name}{stale}"
        return f"fetches {seen} at {name}{stale}"

    def _thread(self, index: int) -> str:
        return self.threads.get(index, f"task {index}")

    def _lane_name(self, cpu: int) -> str:
        tasks = dict.fromkeys(int(event["task"]) for event in self.result.shown
                              if int(event["cpu"]) == cpu)  # fmt: skip
        return ", ".join(self.threads[task] for task in tasks if task in self.threads)

    def _left_in_buffers(self) -> list[str]:
        last: dict[int, Seen] = {event.cpu: event for event in self.events}
        held = [self.events[number] for _, event in sorted(last.items()) for number in event.stores]
        return [
            f"{store.text} of CPU {store.cpu} had not reached memory{_at(store.place)}"
            for store in held if self._is_visible(store) and "undone" not in store.flags
        ]  # fmt: skip


def option_text(option: int, options: int) -> str:
    """Return what a CPU does that takes one of several options of data."""
    return f"takes option {option} of {options}"


def _within_nmis(events: Sequence[Seen]) -> frozenset[int]:
    """Return the numbers of events that a CPU was in an NMI at."""
    inside: set[int] = set()
    found = []
    for event in events:
        if event.kind == "nmi":
            (inside.discard if event.value else inside.add)(event.cpu)
        elif event.cpu in inside:
            found.append(event.number)
    return frozenset(found)


def _barrier(flags: frozenset[str]) -> str:
    if {"acquire", "release"} <= flags:
        return "full"
    return next((one for one in ("acquire", "release") if one in flags), "compiler")


def _at(place: Place | None) -> str:
    return f", from {place.where()} {place.name()}" if place is not None and place.line else ""
