"""What a finding and a run are, as typed values that become JSON and come back unchanged.

Everything that a report shows lies in these values, source lines included, so a report file needs
nothing beside it: neither the core that ran nor the sources. All of them are immutable.
"""

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from inspect import cleandoc
from typing import Any, Literal

import msgspec

from testbed.errors import TestbedError
from testbed.kinds import WORDS, Kind

__all__ = [
    "CpuState", "Environment", "Event", "Excerpt", "Finding", "FindingError", "Kind", "Lane",
    "Place", "Registers", "Searched", "Side", "Step", "Story", "Summary", "TextBytes", "Verdict",
    "Waiting", "decode", "encode",
    "environment", "merge", "place_of", "schema", "signature", "title", "verdict_of",
]

# Functions and files that stand between the place that matters and the one that reports it: frames
# in them are passed over when the place of a side is looked for.
PLUMBING_FUNCTIONS = frozenset({
    "record_side", "report_finding", "report_finding_at", "machine_freeze", "trace_event",
    "kmalloc", "kzalloc", "kfree", "kfree_rcu", "krealloc",
    "check_registered", "check_alive", "enter", "enter_pre", "enter_post",
    "probe_record_registered", "probe_record_unregistered",
    "slab_check", "slab_check_poison", "slab_check_redzones", "report_overrun",
    "report_use_after_free", "note_writer", "write_text", "text_poke", "text_poke_byte",
    "change_breakpoint", "check_all_stopped", "check_all_synced", "check_insn_synced",
    "probe_register", "probe_unregister",
    "unhash", "put_kprobe", "begin_life", "end_life", "check_balance", "report_unbalanced",
    "schedule_timeout",
})
PLUMBING_FILES = frozenset({
    "workers/kernel/finding.c", "workers/kernel/slab.c", "workers/kernel/sched.c",
    "workers/kernel/mutex.c", "workers/kernel/spinlock.c", "workers/kernel/completion.c",
    "workers/kernel/rwsem.c", "workers/kernel/rwlock.c", "workers/kernel/percpu_rwsem.c",
    "workers/kernel/seqlock.c", "workers/kernel/seqlock.h", "workers/kernel/rcu_sync.c",
    "workers/kernel/refcount.c", "workers/kernel/refcount.h", "workers/kernel/kref.h",
    "workers/kernel/kthread.c",
})
# The file of places that the core's symbols know nothing of: the C library, mostly.
OUTSIDE = "outside of the core"
PLUMBING_FOLDERS = (
    "workers/include/", "workers/real/", "workers/gated/", "workers/virtual/", "shm_layout/",
)


class FindingError(TestbedError):
    """A file is not a report that this testbed can read."""


class Verdict(StrEnum):
    """What a run says of its claim; `UNKNOWN` says nothing of it."""

    HELD = "held"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The common base: immutable, and strict when it is read back."""


class Place(Value, frozen=True):
    """Where a CPU was.

    Attributes:
        function: a C function, or ``name+0xoffset`` for probed text.
        file: relative to the project for C, the module's name for text, "" if not known.
        line: from 1; 0 for text, and if not known.
        address: of the instruction, or the return address for callers.
    """

    function: str
    file: str = ""
    line: int = 0
    address: int = 0

    def is_text(self) -> bool:
        """Tell whether this is in the text under test rather than in C."""
        return self.line == 0 and "+0x" in self.function

    def name(self) -> str:
        """Return the function as prose shows it; an address when it has no name."""
        nameless = self.is_text() or self.file == OUTSIDE
        return self.function if nameless else f"{self.function}()"

    def where(self) -> str:
        """Return ``file:line``, as far as it is known."""
        if self.line:
            return f"{self.file}:{self.line}"
        return self.file or f"{self.address:#x}"


class Side(Value, frozen=True):
    """One side of a race; `cpu` is -1 when it is the Python process that looked."""

    cpu: int
    task_index: int = -1
    task_name: str = ""
    tsc: int = 0
    stack: tuple[Place, ...] = ()


class Event(Value, frozen=True):
    """One entry of a CPU's ring; `ns` is relative to the finding, so mostly negative."""

    cpu: int
    ns: int
    type: str
    task: str
    a: int
    b: int
    text: str


class Waiting(Value, frozen=True):
    """Who waits for whom.

    Attributes:
        kind: as in ``enum wait_kind``: "mutex", "cross-call", ...
        object: a global's name, or an address.
        since_ms: how long, in ms.
        holders: those waited for, each as in "task 3 arm/1 on CPU 2".
    """

    cpu: int
    task: str
    kind: str
    object: str
    since_ms: int
    holders: tuple[str, ...] = ()


class Registers(Value, frozen=True):
    """General registers at a trap; `orig_ax` is the trap number."""

    r15: int
    r14: int
    r13: int
    r12: int
    bp: int
    bx: int
    r11: int
    r10: int
    r9: int
    r8: int
    ax: int
    cx: int
    dx: int
    si: int
    di: int
    orig_ax: int
    ip: int
    cs: int
    flags: int
    sp: int
    ss: int


class TextBytes(Value, frozen=True):
    """Bytes of the text as they should be and as they were, in hexadecimal.

    Attributes:
        address: of the first byte.
        ip: the instruction pointer, somewhere among them.
        place: the function and offset of `ip`.
    """

    address: int
    ip: int
    expected: str
    found: str
    place: str


class CpuState(Value, frozen=True):
    """Where a CPU stood when the machine was stopped; no registers if it was not interrupted."""

    cpu: int
    task: str
    stack: tuple[Place, ...] = ()
    registers: Registers | None = None
    lost: bool = False
    idle: bool = False
    waiting: Waiting | None = None


class Excerpt(Value, frozen=True):
    """Source lines around a place of interest; `first` is the number of the first one."""

    file: str
    first: int
    marked: int
    lines: tuple[str, ...]


class Step(Value, frozen=True):
    """One event of a shown run, or a stretch of events that is left out.

    Attributes:
        number: place in the run, from 1; of a stretch: of its first event.
        cpu: that did it; -1 for a stretch that is left out.
        kind: as in ``enum event_kind``, lower case; "gap" for what is left out.
        text: what happened, in the words of the program: ``x = 1``.
        note: what a reader would not see: who else had what in a buffer.
        place: where in the source.
        source: that line.
        buffer: what the CPU's store buffer holds afterwards, oldest first.
        marks: "choice", "intervention", "here", "other", "first", "second": see `Story.flip`.
    """

    number: int
    cpu: int
    kind: str
    text: str
    note: str = ""
    place: Place | None = None
    source: str = ""
    buffer: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


class Lane(Value, frozen=True):
    """One CPU of a shown run, and what runs on it."""

    cpu: int
    name: str


class Story(Value, frozen=True):
    """A run of the explorer, event by event.

    Attributes:
        schedule: what to replay it by.
        interventions: the choices that were not the default, each as a sentence.
        steps: in order; what nobody else could notice is left out.
        left_out: events that are not among the steps.
        buffers: stores that had not reached memory when the run ended, each as a sentence.
        why: why the two sides are not ordered, or what the run shows; sentences.
        flip: the two events whose order decides: numbers of steps; () if not known.
        passing: the nearest schedule that passes; "" if not known.
        found_with: interventions of the schedule that the search had found.
        replays: runs made to make it smaller.
    """

    schedule: str
    lanes: tuple[Lane, ...]
    steps: tuple[Step, ...]
    interventions: tuple[str, ...] = ()
    left_out: int = 0
    buffers: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    flip: tuple[int, ...] = ()
    passing: str = ""
    found_with: int = 0
    replays: int = 0


class Searched(Value, frozen=True):
    """What of all schedules was searched.

    Attributes:
        strategy: that had the last word.
        complete: every schedule was, up to the order of what cannot be told apart.
        ended: why the search was over, as a phrase.
        bounds: what else it did not go beyond, as phrases.
        seconds: since the search began.
        executions_per_s: of one processor.
        collision_bound: probability that a stateful search took two states for one, at most.
    """

    strategy: str
    complete: bool
    ended: str
    bounds: tuple[str, ...] = ()
    seconds: float = 0.0
    executions_per_s: float = 0.0
    collision_bound: float = 0.0


class Environment(Value, frozen=True):
    """What the run ran on."""

    cores: int
    kernel: str
    python: str
    compiler: str


class Finding(Value, frozen=True, tag_field="document", tag="finding", kw_only=True):
    """One thing that went wrong, with all that is known about it.

    Attributes:
        title: bug class and both places; the same for the same bug.
        sentence: what happened this time, with its values.
        claim: what the harness claims in general.
        command: argv that runs it again.
        build_id: identity of the core that ran.
        values: named by kind, see testbed/kinds.py.
        value_text: how those values read, where that is more than the number.
        timeline: all CPUs' rings around the moment, oldest first.
        cycles_per_ns: of the time stamps of both sides.
        waits: who waits for whom, all tasks.
        patches: names of the patches that the core had.
        signature: 12 hexadecimal digits, the same for the same bug.
        signature_text: what the signature was made of.
        count: how often it came back in this run.
        story: of a virtual machine: the run, event by event.
    """

    format: Literal[1] = 1
    kind: Kind
    title: str
    sentence: str
    claim: str
    harness: str
    machine: Literal["real", "virtual"] = "real"
    seed: int
    options: dict[str, str]
    command: tuple[str, ...]
    version: str
    build_id: str
    here: Side
    other: Side | None = None
    values: dict[str, int] = {}
    value_text: dict[str, str] = {}
    registers: Registers | None = None
    text: TextBytes | None = None
    cpus: tuple[CpuState, ...] = ()
    timeline: tuple[Event, ...] = ()
    cycles_per_ns: float = 1.0
    waits: tuple[Waiting, ...] = ()
    sources: tuple[Excerpt, ...] = ()
    patches: tuple[str, ...] = ()
    environment: Environment
    signature: str
    signature_text: str
    count: int = 1
    story: Story | None = None


class Summary(Value, frozen=True, tag_field="document", tag="run", kw_only=True):
    """How a run ended.

    Attributes:
        counters: what proves that something was tested; name to count.
        reason: why the verdict is unknown, else "".
        started: UTC, ISO 8601.
        searched: of a virtual machine: how much of all schedules.
        passing: a run that passes, if one was asked for.
        outcomes: what runs gave to explore_outcome(), and how many of them; in the order of value.
    """

    format: Literal[1] = 1
    verdict: Verdict
    harness: str
    claim: str
    seed: int
    options: dict[str, str]
    command: tuple[str, ...]
    version: str
    build_id: str
    started: str
    duration_s: float
    counters: dict[str, int | float]
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    patches: tuple[str, ...] = ()
    environment: Environment
    searched: Searched | None = None
    passing: Story | None = None
    outcomes: tuple[tuple[int, int], ...] = ()


def environment(compiler: str) -> Environment:
    """Describe this machine; `compiler` is the first line of its ``--version``."""
    return Environment(
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=sys.version.split()[0],
        compiler=compiler,
    )


def is_plumbing(place: Place) -> bool:
    """Tell whether a frame only carries a report, a wait or an allocation for its caller."""
    return (
        place.function in PLUMBING_FUNCTIONS
        or place.function.startswith("finding_")
        or place.file in PLUMBING_FILES
        or place.file == OUTSIDE
        or place.file.startswith(PLUMBING_FOLDERS)
    )


def place_of(side: Side | None) -> Place | None:
    """Return the innermost place of `side` that is not plumbing, None without any place."""
    if side is None or not side.stack:
        return None
    return next((place for place in side.stack if not is_plumbing(place)), side.stack[0])


def title(kind: Kind, here: Side, other: Side | None, value_text: Mapping[str, str]) -> str:
    """Return the bug class and both places, as one line.

    For example ``use-after-free: counting_pre_handler() after free by storm_unregister()``.

    Args:
        kind: the bug class.
        here: the side that met it.
        other: the other side, if known.
        value_text: values as prose shows them; those of the kind that are missing become "?".
    """
    words = WORDS[kind]
    there = place_of(other)
    here_place = place_of(here)
    names = dict.fromkeys(words.values, "?") | dict(value_text)
    names["here"] = here_place.name() if here_place else "the check at the end"
    names["other"] = there.name() if there else "?"
    template = words.title if there else words.alone
    return f"{kind}: {template.format_map(names)}"


def signature(kind: Kind, here: Side, other: Side | None) -> tuple[str, str]:
    """Return the signature and what it was made of: the kind and both places.

    Line numbers are left out, so it survives edits. Of probed text only the module counts: which
    of its functions was hit depends on the seed, not on the bug.
    """
    text = "|".join([str(kind), _signature_place(here), _signature_place(other)])
    return sha256(text.encode()).hexdigest()[:12], text


def _signature_place(side: Side | None) -> str:
    place = place_of(side)
    if place is None:
        return "-"
    if place.file == OUTSIDE:
        return place.file
    return f"text@{place.file}" if place.is_text() else f"{place.function}@{place.file}"


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Keep the first finding of each signature, and count the others in it."""
    merged: dict[str, Finding] = {}
    for finding in findings:
        first = merged.get(finding.signature)
        merged[finding.signature] = finding if first is None else msgspec.structs.replace(
            first, count=first.count + finding.count
        )
    return tuple(merged.values())


def verdict_of(finding: Finding) -> Verdict:
    """Return what a finding means for the claim: a lost CPU says nothing about the code."""
    return Verdict.UNKNOWN if finding.kind is Kind.CPU_LOST else Verdict.VIOLATED


def encode(document: Finding | Summary) -> bytes:
    """Return `document` as JSON, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode(data: bytes, name: str = "report") -> Finding | Summary:
    """Return the document in `data`; `name` is what to call it in an error.

    Raises:
        FindingError: not JSON, an unknown field, a wrong type, or another format.
    """
    try:
        return msgspec.json.decode(data, type=Finding | Summary)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FindingError(f"{name}: not a report of this testbed: {error}") from error


def schema() -> dict[str, Any]:
    """Return the JSON schema of a report file: a finding or a run."""
    described = msgspec.to_builtins(msgspec.json.schema(Finding | Summary))
    # Python 3.13 takes the indentation of docstrings away by itself.
    for definition in described["$defs"].values():
        definition["description"] = cleandoc(definition.get("description", ""))
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A report of the testbed: one finding, or one run",
    } | plain
