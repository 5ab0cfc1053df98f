"""From the result of an explorer to a finding: numbers in, names and sentences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from testbed.cache import Core
from testbed.explore.names import TEXT, Names
from testbed.explore.process import Result
from testbed.explore.story import KERNEL, Teller, thread_names
from testbed.findings import Finding, Kind, Side, Story, TextBytes, Waiting, is_plumbing
from testbed.kinds import (
    BYTES,
    HEXADECIMAL,
    HEXADECIMAL_KINDS,
    WORDS,
    bytes_text,
    kind_of,
    refcount_fault,
)
from testbed.layout import Layout
from testbed.report.addresses import TEXT_BASE, Addresses, text_spans
from testbed.report.model import RunFacts, complete, excerpts, sentence, signal_name
from testbed.report.waits import wait_name
from testbed.symbols import Symbols
from testbed.text.image import assembled_image

# In the order of enum waiting_for (shm_layout/explore.h).
WAITS = (
    "word", "mutex", "the end of a thread", "condition variable", "read lock", "write lock",
    "semaphore", "barrier", "initialization", "a change of anything",
    "spinlock", "completion", "cross-call", "grace-period", "stop-machine",
    "timer", "flush of", "wait queue", "irq_work",
)
ACCESS_WRITE, ACCESS_PLAIN, ACCESS_LOCKED = 1, 2, 4
NOBODY = 255


@dataclass(frozen=True)
class Reader:
    """Reads results of one core.

    Attributes:
        core: that ran.
        facts: of the search.
        check: address of the check at the end of a scenario, whose result is a claim; 0 = none.
        regions: of the explored machine, see `Names`.
    """

    core: Core
    facts: RunFacts
    check: int = 0
    regions: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    def names(self) -> Names:
        """Return fresh names: what the heap holds depends on the run."""
        spans = text_spans(assembled_image()) if TEXT in self.regions else ()
        addresses = Addresses(Symbols.of(self.core), spans)
        return Names(Layout.of(self.core), addresses, regions=self.regions)

    def finding(self, result: Result) -> Finding:
        """Return the finding that a shown run ended with."""
        names = self.names()
        record: Any = result.finding
        kind = kind_of(int(record["kind"]))
        threads = thread_names(result, names)
        values = dict(zip(WORDS[kind].values, record["value"].tolist(), strict=False))
        ip = int(record["regs"]["ip"]) if int(record["has_regs"]) else 0
        here = _side(record["here"], names, threads, ip)
        if self.check and all(is_plumbing(place) for place in here.stack):
            here = structs.replace(here, stack=names.addresses.places(self.check))
        other = _side(record["other"], names, threads) if int(record["other"]["tsc"]) else None
        if other is not None and not other.stack:
            other = None
        objects = values.get("object", 0), values.get("other_object", values.get("object", 0))
        teller = Teller(result, names, threads, self.core.source)
        story = teller.story(here, other, objects, unordered=kind is Kind.DATA_RACE)
        text = {name: _value_text(kind, name, values, names, threads) for name in values}
        if kind is Kind.DEADLOCK and not len(result.waiting) and values["wait_kind"]:
            # The kernel itself has found a lock that is taken twice, and says so in its own words.
            text["wait_kind"] = wait_name(values["wait_kind"])
        said = sentence(kind, here, other, text)
        if kind is Kind.DEADLOCK and not values["tasks_in_cycle"]:
            said = (
                f"{text['task']} on CPU {here.cpu} waits for ever for {text['wait_kind']} "
                f"{text['object']}: nobody is left who would act"
            )
        if result.assertion:
            said = _assertion(result, here)
            values = {}
        elif kind is Kind.CLAIM and KERNEL not in Layout.of(self.core).symbols():
            said = f"the program ended with status {record['value'][0]} on CPU {here.cpu}"
            values = {}
        finding = complete(
            self.facts, kind, here, other, said, values, text,
            machine="virtual", waits=_waits(result, names, threads), story=story,
            sources=excerpts((here, other), self.core.source),
        )  # fmt: skip
        return structs.replace(
            finding, title=finding.title + _decided_by(story), text=_text(record, names)
        )

    def story(self, result: Result) -> Story:
        """Return the story of a shown run that passes."""
        names = self.names()
        threads = thread_names(result, names)
        return Teller(result, names, threads, self.core.source).story()


def _text(record: Any, names: Names) -> TextBytes | None:
    """Return the text around the instruction pointer, with what the CPU fetched there."""
    address, ip = int(record["bytes_addr"]), int(record["regs"]["ip"])
    start, end, _ = names.regions.get(TEXT, (0, 0, 0))
    if not 0 <= address - TEXT_BASE < end - start:
        return None
    return TextBytes(
        address=address,
        ip=ip,
        expected=bytes(record["bytes_expected"]).hex(),
        found=bytes(record["bytes_found"]).hex(),
        place=names.addresses.code(ip),
    )


def _decided_by(story: Story) -> str:
    """Return the end of a title: whose order decides, if that is known."""
    places = [step.place for mark in ("first", "second") for step in story.steps
              if mark in step.marks and step.place is not None]  # fmt: skip
    if len(places) != len(story.flip) or not places:
        return ""
    return f", by the order of {places[0].name()} and {places[1].name()}"


def _side(record: Any, names: Names, threads: Mapping[int, str], ip: int = 0) -> Side:
    """Return a side; what begins with the instruction at `ip` does not begin with a call."""
    task, stack = int(record["task"]), record["stack"].tolist()
    return Side(
        cpu=int(record["cpu"]),
        task_index=task,
        task_name=threads.get(task, f"task {task}"),
        tsc=int(record["tsc"]),
        stack=names.addresses.stack(stack, first_is_exact=stack[0] == ip),
    )


def _assertion(result: Result, here: Side) -> str:
    assert result.assertion is not None
    file, line, text = result.assertion
    place = f"{file.rsplit('/', 1)[-1]}:{line}"
    return f"assertion {text} is false on CPU {here.cpu}, {place}"


def _value_text(
    kind: Kind, name: str, values: Mapping[str, int], names: Names, threads: Mapping[int, str]
) -> str:
    value = values[name]
    match name:
        case "cpus":
            return ", ".join(str(n) for n in range(value.bit_length()) if value >> n & 1)
        case "access" | "other_access":
            return access_text(value)
        case "waiting_for" | "wait_kind":
            return WAITS[value] if value < len(WAITS) else str(value)
        case "refcount_fault":
            return refcount_fault(value)
        case "task":
            return threads.get(value, f"task {value}")
        case "signal":
            return signal_name(value)
        case "object" | "other_object" if kind is Kind.DATA_RACE:
            size = values["other_size" if name == "other_object" else "size"]
            return names.name(value, size) if value else "nothing"
        case "fault_address" if not value:
            return "0x0"
        case "object" | "other_object" | "held" | "pointer" | "probe" | "fault_address" | "domain":
            return names.name(value) if value else "nothing"
        case "held_at" | "other_held_at" | "taken_at" | "called_at" | "wanted_at":
            return _place_text(value, names)
        case "called" | "function" | "text_address" | "start":
            return names.addresses.code(value)
        case "came_from":
            return names.addresses.code(value) if value else "a call"
    if name in BYTES:
        return bytes_text(value)
    hexadecimal = name in HEXADECIMAL or kind in HEXADECIMAL_KINDS
    return f"{value:#x}" if hexadecimal and kind is not Kind.CLAIM else str(value)


def _place_text(address: int, names: Names) -> str:
    """Return function, file and line of the call that returns to `address`."""
    places = names.addresses.stack([address])
    if not places:
        return "nothing"
    place = next((one for one in places if not is_plumbing(one)), places[0])
    return f"{place.name()}, {place.file.rsplit('/', 1)[-1]}:{place.line}"


def access_text(access: int) -> str:
    """Return what an access with ACCESS_* flags does, as the start of a clause."""
    if access & ACCESS_LOCKED:
        return "makes a locked change of"
    noun = "write" if access & ACCESS_WRITE else "read"
    return f"makes a {'plain' if access & ACCESS_PLAIN else 'marked'} {noun} of"


def _waits(result: Result, names: Names, threads: Mapping[int, str]) -> tuple[Waiting, ...]:
    waits = []
    for record in result.waiting:
        what = int(record["what"])
        waits.append(Waiting(
            cpu=int(record["cpu"]),
            task=threads.get(int(record["task"]), f"task {int(record['task'])}"),
            kind=WAITS[what] if what < len(WAITS) else str(what),
            object=names.name(int(record["object"])) if int(record["object"]) else "",
            since_ms=0,
            holders=_holders(record, names, threads),
        ))  # fmt: skip
    return tuple(waits)


def _holders(record: Any, names: Names, threads: Mapping[int, str]) -> tuple[str, ...]:
    """Return who would have to act: a CPU, and its task if that is the only one that could."""
    cpu, owner = int(record["waits_for"]), int(record["owner"])
    if cpu == NOBODY:
        return ()
    if owner:
        return (f"{threads.get(owner - 1, f'task {owner - 1}')} on CPU {cpu}",)
    # Where each thread is a CPU of its own, they have the same numbers.
    name = "" if KERNEL in names.layout.symbols() else threads.get(cpu, "")
    return (f"CPU {cpu} {name}".strip(),)
