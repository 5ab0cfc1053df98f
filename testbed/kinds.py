"""The kinds of findings, and the words that each of them is told with.

One row per member of ``enum finding_kind`` (shm_layout/finding.h). Nothing here knows a harness: a
title or a sentence is made of the kind, the two places and the values.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What went wrong; the order is that of ``enum finding_kind``, whose 0 means none."""

    CLAIM = "claim"
    USE_AFTER_FREE = "use-after-free"
    DOUBLE_FREE = "double-free"
    OVERRUN = "overrun"
    LEAK = "leak"
    BAD_FREE = "bad-free"
    CRASH = "crash"
    UNKNOWN_TRAP = "unknown-trap"
    TEXT_CORRUPT = "text-corrupt"
    TEXT_NOT_PRISTINE = "text-not-pristine"
    HANDLER_AFTER_UNREGISTER = "handler-after-unregister"
    LOST_HIT = "lost-hit"
    EXTRA_HIT = "extra-hit"
    LOST_MISS = "lost-miss"
    WRONG_RESULT = "wrong-result"
    BAD_STATE = "bad-state"
    BAD_CONTEXT = "bad-context"
    HANG = "hang"
    DEADLOCK = "deadlock"
    STALL = "stall"
    NO_PROGRESS = "no-progress"
    CPU_LOST = "cpu-lost"
    UNSYNCED_TEXT = "unsynced-text"
    DATA_RACE = "data-race"
    LOST_WAKEUP = "lost-wakeup"
    LIVELOCK = "livelock"
    TORN_INSN = "torn-instruction"
    INSIDE_INSN = "inside-instruction"
    FREED_TEXT = "freed-text"
    LOCK_ORDER = "lock-order"
    LOCK_IRQ = "lock-in-interrupt"
    LOCK_CALL = "call-under-lock"
    SHORT_GRACE_PERIOD = "short-grace-period"
    UNBALANCED = "unbalanced"
    OLD_ELEMENT = "old-element"
    REFCOUNT = "refcount"


# The sentence of a deadlock of one task.
HELD_BY_ITSELF = "{task} on {cpu} waits for {wait_kind} {object}, which it holds itself"


@dataclass(frozen=True)
class Words:
    """How one kind is told.

    Attributes:
        values: names of ``finding.value[]``, in order.
        here: the role of the side that met it, as in "used by".
        other: the role of the other side, as in "freed by".
        title: what follows "kind: " when both places are known; ``{here}`` and ``{other}``.
        alone: the same when only the place of this side is known.
        sentence: what happened; fields are ``{cpu}``, ``{other_cpu}``, ``{task}``, ``{here}``,
            ``{other}`` and every name of `values`.
    """

    values: tuple[str, ...]
    here: str
    other: str
    title: str
    alone: str
    sentence: str


_CLAIM = Words(
    ("value_1", "value_2", "value_3", "value_4", "value_5", "value_6"),
    "claimed by", "other side",
    "{here} found its claim false, other side {other}", "{here} found its claim false",
    "a claim checked on {cpu} in {here} is false",
)

_MEMORY = {
    Kind.USE_AFTER_FREE: Words(
        ("object", "size"), "used by", "freed by",
        "{here} after free by {other}", "{here} used freed memory",
        "{cpu} used {size} bytes at {object} after {other_cpu} had freed them",
    ),
    Kind.DOUBLE_FREE: Words(
        ("object", "size"), "freed again by", "freed by",
        "{here} after free by {other}", "{here} freed memory a second time",
        "{cpu} freed {size} bytes at {object} that {other_cpu} had already freed",
    ),
    Kind.OVERRUN: Words(
        ("object", "size", "first_bad_byte", "value"), "found by", "allocated by",
        "memory of {other} written outside of it, found by {here}",
        "memory written outside of an object, found by {here}",
        "byte {first_bad_byte} of {size} bytes at {object} was overwritten with {value}",
    ),
    Kind.LEAK: Words(
        ("object", "size"), "found by", "allocated by",
        "memory of {other} never freed", "memory never freed, found by {here}",
        "{size} bytes at {object}, allocated on {other_cpu}, were never freed",
    ),
    Kind.BAD_FREE: Words(
        ("pointer",), "freed by", "other side",
        "{here} freed what was never allocated, other side {other}",
        "{here} freed what was never allocated",
        "{cpu} freed {pointer}, which no allocation ever returned",
    ),
}

_TEXT = {
    Kind.CRASH: Words(
        ("signal", "fault_address", "trap", "error_code"), "crashed in", "other side",
        "{signal} in {here}, other side {other}", "{signal} in {here}",
        "{cpu} took {signal} in {here}, fault address {fault_address}",
    ),
    Kind.UNKNOWN_TRAP: Words(
        ("text_address", "byte_found"), "trapped at", "last written by",
        "trap of nobody at {here}, last written by {other}", "trap of nobody at {here}",
        "{cpu} trapped at {here} where nobody owns a breakpoint; the byte there is {byte_found}",
    ),
    Kind.TEXT_CORRUPT: Words(
        ("text_address", "expected", "found"), "found by", "last written by",
        "wrong text found by {here}, last written by {other}", "wrong text found by {here}",
        "the text at {text_address} is {found}, expected {expected}",
    ),
    Kind.TEXT_NOT_PRISTINE: Words(
        ("text_address", "pristine", "found"), "found by", "last written by",
        "text left changed by {other}, found by {here}", "text left changed, found by {here}",
        "no probe is left, but the text at {text_address} is {found}, pristine {pristine}",
    ),
}

_TEXT[Kind.UNSYNCED_TEXT] = Words(
    ("text_address", "cpu", "cycles"), "changed by", "not synchronized",
    "{here} did not make all CPUs fetch text anew, such as {other}",
    "{here} did not make all CPUs fetch text anew",
    "{stalled_cpu} may still run what stood at {text_address}: {cycles} cycles after {here} on "
    "{cpu} had written there, it has not fetched its instructions anew",
)

_TEXT |= {
    Kind.TORN_INSN: Words(
        ("text_address", "fetched", "there"), "fetched at", "last written by",
        "{here} fetched what never was an instruction, last written by {other}",
        "{here} fetched what never was an instruction",
        "{cpu} fetched {fetched} at {here}, which never was an instruction there; memory holds "
        "{there}",
    ),
    Kind.INSIDE_INSN: Words(
        ("text_address", "start", "fetched", "came_from"), "came to", "last written by",
        "{here} is inside of an instruction, last written by {other}",
        "{here} is inside of an instruction",
        "{cpu} came from {came_from} to {here}, inside of the instruction that starts at {start}",
    ),
    Kind.FREED_TEXT: Words(
        ("text_address", "start", "size"), "used by", "freed by",
        "{here} after text was freed by {other}", "{here} in freed text",
        "{cpu} used text at {text_address} after {other_cpu} had freed it",
    ),
}

_PROBES = {
    Kind.HANDLER_AFTER_UNREGISTER: Words(
        ("probe", "text_address"), "run by", "unregistered by",
        "{here} ran after {other}", "{here} ran after its probe was unregistered",
        "{cpu} ran a handler of the probe at {text_address} after its unregistration on "
        "{other_cpu} had returned",
    ),
    Kind.LOST_HIT: Words(
        ("probe", "expected", "made", "text_address"), "counted by", "other side",
        "hits missing, counted by {here}, other side {other}", "hits missing, counted by {here}",
        "the probe at {text_address} ran its handler {made} times, expected {expected}",
    ),
    Kind.EXTRA_HIT: Words(
        ("probe", "expected", "made", "text_address"), "counted by", "other side",
        "too many hits, counted by {here}, other side {other}", "too many hits, counted by {here}",
        "the probe at {text_address} ran its handler {made} times, expected {expected}",
    ),
    Kind.LOST_MISS: Words(
        ("probe", "at_least", "at_most", "counted"), "counted by", "other side",
        "missed hits not counted right, by {here}, other side {other}",
        "missed hits not counted right, by {here}",
        "the probe counted {counted} missed hits, expected {at_least} to {at_most}",
    ),
    Kind.WRONG_RESULT: Words(
        ("function", "argument", "expected", "returned"), "called by", "other side",
        "{function} called by {here}, other side {other}", "{function} called by {here}",
        "{function} called with {argument} on {cpu} returned {returned}, expected {expected}",
    ),
    Kind.BAD_STATE: Words(
        ("object", "found", "expected"), "found by", "other side",
        "{here} found a wrong state, other side {other}", "{here} found a wrong state",
        "{here} on {cpu} found state {found} in {object}, expected {expected}",
    ),
    Kind.BAD_CONTEXT: Words(
        ("called", "preempt_count", "irqs_off", "in_irq"), "called by", "section begun by",
        "{here} in a context where it must not be called, begun by {other}",
        "{here} in a context where it must not be called",
        "{here} on {cpu} needs another context: preempt count {preempt_count}, "
        "interrupts off {irqs_off}, in interrupt {in_irq}",
    ),
}

_WAITING = {
    Kind.HANG: Words(
        ("task", "wait_kind", "object", "milliseconds"), "waits in", "held by",
        "{here} waits for {other}", "{here} waits for {wait_kind}",
        "{task} on {cpu} has waited {milliseconds} ms for {wait_kind} {object}",
    ),
    Kind.DEADLOCK: Words(
        ("task", "wait_kind", "object", "tasks_in_cycle"), "waits in", "waits in",
        "{here} and {other} wait for each other", "{here} waits for {wait_kind} in a circle",
        "{tasks_in_cycle} tasks wait for each other: {task} on {cpu} for {wait_kind} {object}",
    ),
    Kind.STALL: Words(
        ("grace_period", "cpu", "milliseconds", "cpus_left", "readers"), "waits in",
        "held back by",
        "{here} held back by {other}", "{here} waits for a grace period",
        "grace period {grace_period} has waited {milliseconds} ms for {stalled_cpu}: "
        "it is held by the CPUs of mask {cpus_left} and by {readers} readers that lost theirs",
    ),
    Kind.NO_PROGRESS: Words(
        ("cpu", "milliseconds", "task"), "stands in", "other side",
        "{here} gets nowhere, other side {other}", "{here} gets nowhere",
        "{task} on {stalled_cpu} has made no progress for {milliseconds} ms",
    ),
    Kind.CPU_LOST: Words(
        ("cpu", "pid", "wait_status"), "last seen in", "other side",
        "a worker ended in {here}, other side {other}", "a worker ended",
        "the worker of {stalled_cpu} (pid {pid}) {wait_status}",
    ),
}

_ORDER = {
    Kind.DATA_RACE: Words(
        ("object", "size", "access", "other_access", "other_object", "other_size"),
        "accessed by", "and by",
        "{here} and {other}", "{here} and another CPU",
        "{cpu} {access} {object} in {here}, {other_cpu} {other_access} {other_object} in {other}, "
        "and nothing orders the two",
    ),
    Kind.LOST_WAKEUP: Words(
        ("waiting_for", "object", "found", "waiting_cpus"), "waits in", "other side",
        "{here} waits for ever, other side {other}", "{here} waits for ever for {waiting_for}",
        "{cpu} waits in {here} for {waiting_for} {object}, and nobody is left who would act",
    ),
    Kind.LIVELOCK: Words(
        ("cpus", "states"), "stands in", "other side",
        "{here} goes in circles, other side {other}", "{here} goes in circles",
        "no schedule comes to an end any more: CPUs {cpus} go in circles, {cpu} in {here}",
    ),
}

_LOCKS = {
    Kind.LOCK_ORDER: Words(
        ("object", "held", "held_at", "other_object", "other_held_at", "locks_in_cycle"),
        "taken by", "taken the other way round by",
        "{here} and {other} take locks in different orders",
        "{here} takes locks in an order that can deadlock",
        "{cpu} took {object} in {here} while it held {held} (from {held_at}); {other_cpu} took "
        "{other_object} in {other} while it held {object} (from {other_held_at}): "
        "{locks_in_cycle} locks in a circle",
    ),
    Kind.LOCK_IRQ: Words(
        ("object", "held", "irq_cpu", "taken_at", "held_at"),
        "taken by", "and by",
        "{here} and {other}: an interrupt may wait for what it has interrupted",
        "{here}: an interrupt may wait for what it has interrupted",
        "an interrupt on CPU {irq_cpu} takes {object} ({taken_at}), and {held} is held there "
        "with interrupts on ({held_at})",
    ),
    Kind.LOCK_CALL: Words(
        ("object", "target_cpu", "called_at", "wanted_at"),
        "met in", "and in",
        "{here} and {other}: a CPU is called under a lock that it may wait for",
        "{here}: a CPU is called under a lock that it may wait for",
        "CPU {target_cpu} is waited for under {object} ({called_at}), and waits for {object} "
        "with interrupts off ({wanted_at})",
    ),
    Kind.SHORT_GRACE_PERIOD: Words(
        ("reader_cpu", "domain"), "waited in", "still reading since",
        "{here} did not wait for the reader of {other}", "{here} did not wait for a reader",
        "{cpu} went on in {here} after its grace period, but CPU {reader_cpu} still is in the "
        "reader that it had begun in {other} before",
    ),
    Kind.OLD_ELEMENT: Words(
        ("element", "grace_periods"), "read", "last waited in",
        "{here} read what {other} had waited for its readers to leave",
        "{here} read what was removed before the last grace periods",
        "{cpu} still read {element} in {here}, though {grace_periods} grace period(s) passed since "
        "it was removed: the last one, of {other}, did not wait for this reader",
    ),
    Kind.UNBALANCED: Words(
        ("function", "preempt_before", "preempt_after", "irqs_before", "irqs_after", "left"),
        "found by", "begun by",
        "{function} left what it had begun, found by {here}, begun by {other}",
        "{function} left what it had begun, found by {here}",
        "{function} ended on {cpu} with preempt count {preempt_after} (begun with "
        "{preempt_before}), interrupts off {irqs_after} (begun with {irqs_before}), "
        "{left} locks and RCU readers more than before",
    ),
}

_PROBES[Kind.REFCOUNT] = Words(
    ("object", "refcount_fault", "found"), "changed by", "other side",
    "{here} changed a wrong reference count, other side {other}",
    "{here} changed a wrong reference count",
    "{cpu} {refcount_fault} reference count {object}, which was {found}",
)

# In the order of enum refcount_fault (workers/kernel/refcount.h).
REFCOUNT_FAULTS = (
    "took a reference from nobody by", "took too many references of",
    "gave back what nobody had of", "did not expect to give back the last one of",
)

WORDS: dict[Kind, Words] = (
    {Kind.CLAIM: _CLAIM} | _MEMORY | _TEXT | _PROBES | _WAITING | _ORDER | _LOCKS
)

# Values that are addresses, or bytes seen as a number: shown in hexadecimal.
HEXADECIMAL = frozenset({
    "object", "pointer", "probe", "text_address", "fault_address", "function", "argument",
    "byte_found", "value", "called", "error_code", "held", "held_at", "other_held_at", "taken_at",
    "called_at", "wanted_at", "domain", "cpus_left", "other_object", "element",
})

# Values that are bytes of an instruction.
BYTES = frozenset({"fetched", "there"})

# Kinds whose values are all shown so: bytes of the text, and results.
HEXADECIMAL_KINDS = frozenset({
    Kind.UNKNOWN_TRAP, Kind.TEXT_CORRUPT, Kind.TEXT_NOT_PRISTINE, Kind.WRONG_RESULT,
    Kind.TORN_INSN, Kind.INSIDE_INSN, Kind.FREED_TEXT,
})


def bytes_text(value: int) -> str:
    """Return bytes of an instruction, whose number is in the highest byte of `value`."""
    return value.to_bytes(8, "little")[: value >> 56].hex(" ")


def refcount_fault(number: int) -> str:
    """Return the words of ``enum refcount_fault``."""
    return REFCOUNT_FAULTS[number] if number < len(REFCOUNT_FAULTS) else f"broke ({number})"


def kind_of(number: int) -> Kind:
    """Return the kind of ``finding.kind``.

    Raises:
        ValueError: the number is no kind: 0, or from a newer core.
    """
    kinds = list(Kind)
    if not 1 <= number <= len(kinds):
        raise ValueError(f"finding kind {number}: this testbed knows 1 to {len(kinds)}")
    return kinds[number - 1]
