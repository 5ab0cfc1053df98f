"""Litmus tests: small programs written as data, and the same programs in C.

An operation is one line, with its size in bytes behind its name and memory as ``x``, ``y``, ... of
eight bytes each, or a place inside: ``x+3``::

    store4 x 1          r0 = load2 x+1          mfence
    r0 = xchg4 x 1      r0 = add4 x 1           r0 = cas4 x 0 1      (each gives the old value)
    lock m              unlock m                (mutexes: m and n)

A register has one name in the whole program, and can be stored: ``store4 y r0``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

LOCATIONS = "xyzw"
LOCATION_BYTES = 8
MUTEXES = "mn"
MEMORY_BYTES = LOCATION_BYTES * len(LOCATIONS)

MASK = (1 << 64) - 1
FACTOR = 0x9E3779B97F4A7C15

# The environment variable that says which test of a C file to run.
SELECTOR = "LITMUS"

# What is observed, in order.
Outcome = tuple[int, ...]

# Of a program whose threads wait for each other's mutexes.
DEADLOCK: Outcome = ()

Value = int | str


class Kind(Enum):
    """What an operation does."""

    LOAD = "load"
    STORE = "store"
    EXCHANGE = "xchg"
    ADD = "add"
    COMPARE = "cas"
    FENCE = "mfence"
    LOCK = "lock"
    UNLOCK = "unlock"


@dataclass(frozen=True)
class Operation:
    """One step of a thread, or a last look at memory.

    `place` is in bytes from the start of ``x``, or the number of a mutex; `values` are what is
    expected, if anything, and what is stored.
    """

    kind: Kind
    size: int = 0
    place: int = 0
    values: tuple[Value, ...] = ()
    register: str = ""

    def __str__(self) -> str:
        if self.kind is Kind.FENCE:
            return str(self.kind.value)
        if self.kind in (Kind.LOCK, Kind.UNLOCK):
            return f"{self.kind.value} {MUTEXES[self.place]}"
        name = LOCATIONS[self.place // LOCATION_BYTES]
        offset = f"+{self.place % LOCATION_BYTES}" if self.place % LOCATION_BYTES else ""
        words = [f"{self.kind.value}{self.size}", name + offset, *map(_value_text, self.values)]
        return (f"{self.register} = " if self.register else "") + " ".join(words)


@dataclass(frozen=True)
class Litmus:
    """A program and what of its end is looked at: registers, and words of memory."""

    name: str
    threads: tuple[tuple[Operation, ...], ...]
    observe: tuple[str | Operation, ...]
    initial: bytes = bytes(MEMORY_BYTES)

    def __str__(self) -> str:
        lines = [f"P{n}: " + "; ".join(map(str, thread)) for n, thread in enumerate(self.threads)]
        return "\n".join([self.name, *lines, "observe " + ", ".join(map(str, self.observe))])


@dataclass(frozen=True)
class KnownLitmus:
    """A litmus test with all its outcomes, and what the literature says about some of them."""

    litmus: Litmus
    source: str
    outcomes: frozenset[Outcome]
    allowed: tuple[Outcome, ...]
    forbidden: tuple[Outcome, ...]


OPERATION = re.compile(
    r"(?:(?P<register>\w+) = )?(?P<kind>[a-z]+)(?P<size>[1248])"
    rf" (?P<name>[{LOCATIONS}])(?:\+(?P<offset>[1-7]))?(?P<values>(?: \w+)*)"
)
VALUES = {Kind.LOAD: 0, Kind.STORE: 1, Kind.EXCHANGE: 1, Kind.ADD: 1, Kind.COMPARE: 2}


def _value_text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:#x}"


def parse_operation(text: str) -> Operation:
    """Return the operation that a line of the module's language means."""
    if text == Kind.FENCE.value:
        return Operation(Kind.FENCE)
    if text.startswith((f"{Kind.LOCK.value} ", f"{Kind.UNLOCK.value} ")):
        kind, _, mutex = text.partition(" ")
        return Operation(Kind(kind), place=MUTEXES.index(mutex))
    match = OPERATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no operation")
    operation, size = Kind(match["kind"]), int(match["size"])
    offset = int(match["offset"] or 0)
    values = tuple(v if v.startswith("r") else int(v, 0) for v in match["values"].split())
    if len(values) != VALUES[operation] or offset + size > LOCATION_BYTES:
        raise ValueError(f"{text!r}: too many values, or not within {LOCATION_BYTES} bytes")
    place = LOCATIONS.index(match["name"]) * LOCATION_BYTES + offset
    return Operation(operation, size, place, values, match["register"] or "")


def parse_litmus(
    name: str,
    threads: Iterable[Iterable[str]],
    observe: Iterable[str],
    initial: Iterable[str] = (),
) -> Litmus:
    """Return the program of these lines; `initial` holds stores that are done before."""
    memory = bytearray(MEMORY_BYTES)
    for store in map(parse_operation, initial):
        (value,) = store.values
        assert isinstance(value, int)
        memory[store.place : store.place + store.size] = value.to_bytes(store.size, "little")
    return Litmus(
        name,
        tuple(tuple(map(parse_operation, thread)) for thread in threads),
        tuple(what if what.startswith("r") else parse_operation(what) for what in observe),
        bytes(memory),
    )


def known_litmus_tests(path: Path) -> list[KnownLitmus]:
    """Read a file of litmus tests with their outcomes."""
    tests = tomllib.loads(path.read_text())["test"]
    return [
        KnownLitmus(
            parse_litmus(test["name"], test["threads"], test["observe"], test.get("initial", ())),
            test["source"],
            frozenset(map(tuple, test["outcomes"])),
            tuple(map(tuple, test.get("allowed", ()))),
            tuple(map(tuple, test.get("forbidden", ()))),
        )
        for test in tests
    ]


def observed_registers(litmus: Litmus, thread: int) -> list[str]:
    """Return those of the observed registers that are this thread's, in the order of `observe`."""
    own = {operation.register for operation in litmus.threads[thread]}
    return [what for what in litmus.observe if isinstance(what, str) and what in own]


def outcome_hash(litmus: Litmus, outcome: Outcome) -> int:
    """Return the number by which the C program tells this outcome from others.

    Each thread mixes its registers into one number; main() mixes those numbers, then memory.
    """
    seen = dict(zip(litmus.observe, outcome, strict=True))
    number = 1
    for thread in range(len(litmus.threads)):
        own = 1
        for register in observed_registers(litmus, thread):
            own = _mix(own, seen[register])
        number = _mix(number, own)
    for what in litmus.observe:
        if isinstance(what, Operation):
            number = _mix(number, seen[what])
    return number


def _mix(number: int, value: int) -> int:
    number = (number * FACTOR + value) & MASK
    return number ^ number >> 32


PRELUDE = f"""\
#include <assert.h>
#include <outcome.h>
#include <pthread.h>

static struct {{
	_Alignas(64) u8 memory[{MEMORY_BYTES}];
}} shared;

char *getenv(const char *name);
int atoi(const char *text);

#define WORD(bits, place) (*(volatile u##bits *)(shared.memory + (place)))
typedef u16 unaligned_u16 __attribute__((aligned(1)));
typedef u32 unaligned_u32 __attribute__((aligned(1)));
typedef u64 unaligned_u64 __attribute__((aligned(1)));
#define UNALIGNED(bits, place) (*(volatile unaligned_u##bits *)(shared.memory + (place)))
#define ATOMIC(bits, place) ((u##bits *)(shared.memory + (place)))
#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)

static u64 mix(u64 number, u64 value)
{{
	number = number * {FACTOR:#x}UL + value;
	return number ^ number >> 32;
}}

static pthread_mutex_t mutexes[{len(MUTEXES)}];
static int chosen;

static void __attribute__((constructor)) choose(void)
{{
	chosen = atoi(getenv("{SELECTOR}"));
}}

static u64 run_all(void *(*const function[])(void *), u32 threads)
{{
	pthread_t thread[8];
	u64 number = 1;
	void *own;

	for (u32 n = 0; n < threads; n++)
		pthread_create(&thread[n], NULL, function[n], NULL);
	for (u32 n = 0; n < threads; n++) {{
		pthread_join(thread[n], &own);
		number = mix(number, (u64)own);
	}}
	return number;
}}

static void __attribute__((unused)) claim_not(u64 unwanted, u64 number)
{{
	explore_outcome(number);
	assert(number != unwanted);
}}
"""


def _c_look(word: Operation) -> str:
    """Return the word as compiled code accesses it."""
    kind = "UNALIGNED" if word.place % word.size else "WORD"
    return f"{kind}({word.size * 8}, {word.place})"


def _c_operation(operation: Operation, number: int) -> str:
    """Return the statement; every other access is an atomic one instead of a volatile one."""
    if operation.kind is Kind.FENCE:
        return "FENCE()"
    if operation.kind in (Kind.LOCK, Kind.UNLOCK):
        return f"pthread_mutex_{operation.kind.value}(&mutexes[{operation.place}])"
    bits, atomic = operation.size * 8, f"ATOMIC({operation.size * 8}, {operation.place})"
    volatile = operation.place % operation.size or number % 2
    target = f"{operation.register} = " if operation.register else ""
    values = [
        f"(u{bits}){value if isinstance(value, str) else f'{value:#x}UL'}"
        for value in operation.values
    ]
    match operation.kind:
        case Kind.LOAD if volatile:
            return f"{target}{_c_look(operation)}"
        case Kind.LOAD:
            return f"{target}__atomic_load_n({atomic}, __ATOMIC_RELAXED)"
        case Kind.STORE if volatile:
            return f"{_c_look(operation)} = {values[0]}"
        case Kind.STORE:
            return f"__atomic_store_n({atomic}, {values[0]}, __ATOMIC_RELAXED)"
        case Kind.EXCHANGE:
            return f"{target}__atomic_exchange_n({atomic}, {values[0]}, __ATOMIC_SEQ_CST)"
        case Kind.ADD:
            return f"{target}__atomic_fetch_add({atomic}, {values[0]}, __ATOMIC_SEQ_CST)"
    return f"{target}__sync_val_compare_and_swap({atomic}, {values[0]}, {values[1]})"


def _c_thread(litmus: Litmus, thread: int, prefix: str) -> list[str]:
    operations = litmus.threads[thread]
    registers = sorted({operation.register for operation in operations} - {""})
    lines = [f"static void *{prefix}thread{thread}(void *unused)", "{"]
    lines += [f"\tu64 {', '.join(registers)};"] if registers else []
    lines += [f"\t{_c_operation(op, k + thread)};" for k, op in enumerate(operations)]
    lines += ["\tu64 own = 1;"]
    lines += [f"\town = mix(own, {r});" for r in observed_registers(litmus, thread)]
    return [*lines, "\treturn (void *)own;", "}"]


def _c_litmus(litmus: Litmus, index: int) -> str:
    prefix, lines = f"t{index}_", []
    threads = range(len(litmus.threads))
    for thread in threads:
        lines += _c_thread(litmus, thread, prefix)
    functions = ", ".join(f"{prefix}thread{thread}" for thread in threads)
    lines += [f"static u64 {prefix}main(void)", "{"]
    lines += [f"\tstatic void *(*const function[])(void *) = {{ {functions} }};", "\tu64 number;"]
    for place, value in enumerate(litmus.initial):
        if value:
            lines.append(f"\tWORD(8, {place}) = {value:#x};")
    lines.append(f"\tnumber = run_all(function, {len(litmus.threads)});")
    for what in litmus.observe:
        if isinstance(what, Operation):
            lines.append(f"\tnumber = mix(number, {_c_look(what)});")
    return "\n".join([*lines, "\treturn number;", "}", ""])


def c_program(tests: Sequence[Litmus], unwanted: Sequence[Outcome] = ()) -> str:
    """Return a C program that runs the test whose index SELECTOR holds.

    Args:
        tests: to choose from.
        unwanted: of each test, the outcome that it claims not to have; none = no claims.
    """
    cases = []
    for number, test in enumerate(tests):
        claimed = f"claim_not({outcome_hash(test, unwanted[number]):#x}UL, " if unwanted else ""
        end = f"{claimed or 'explore_outcome('}t{number}_main())"
        cases.append(f"\tcase {number}: {end}; break;")
    main = ["int main(void)", "{", "\tswitch (chosen) {", *cases, "\t}", "\treturn 0;", "}", ""]
    return "\n".join([PRELUDE, *(_c_litmus(test, n) for n, test in enumerate(tests)), *main])
