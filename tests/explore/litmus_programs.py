"""Random small programs for Hypothesis: overlapping places and sizes, fences, locked operations."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tests.explore.litmus import (
    LOCATION_BYTES,
    MUTEXES,
    Kind,
    Litmus,
    Operation,
    parse_operation,
)


def operations(number: int, register: str, sources: Sequence[str]) -> st.SearchStrategy[Operation]:
    """Return operations of a thread; the bytes of their values say which one stored them."""

    def make(kind: Kind, size: int, location: int, offset: int, source: str | None) -> Operation:
        if kind is Kind.FENCE:
            return Operation(kind)
        offset = min(offset, LOCATION_BYTES - size)
        if kind not in (Kind.LOAD, Kind.STORE):
            offset -= offset % size
        place = location * LOCATION_BYTES + offset
        value = int.from_bytes(bytes(16 * number + byte for byte in range(size)), "little")
        match kind:
            case Kind.LOAD:
                return Operation(kind, size, place, (), register)
            case Kind.STORE:
                return Operation(kind, size, place, (source or value,))
            case Kind.COMPARE:
                return Operation(kind, size, place, (0, value), register)
        return Operation(kind, size, place, (value,), register)

    # Most are loads and stores, most of those of a few places that overlap.
    kinds = [Kind.STORE] * 4 + [Kind.LOAD] * 4 + [Kind.EXCHANGE, Kind.ADD, Kind.COMPARE, Kind.FENCE]
    return st.builds(
        make,
        st.sampled_from(kinds),
        st.sampled_from([4, 1, 2, 8]),
        st.sampled_from([0, 1, 0]),
        st.integers(0, 5),
        st.sampled_from([None, None, *sources]),
    )


def program(draw: st.DrawFn, sizes: Sequence[int], mutexes: bool = False) -> Litmus:
    """Return a program whose threads have at most so many operations, mutexes not counted."""
    threads: list[tuple[Operation, ...]] = []
    registers: list[str] = []
    number = 0
    for most in sizes:
        thread: list[Operation] = []
        own: list[str] = []
        for _ in range(draw(st.integers(1, most))):
            number += 1
            operation = draw(operations(number, f"r{number}", own))
            thread.append(operation)
            own += [operation.register] if operation.register else []
        threads.append(tuple(draw(locked(thread)) if mutexes else thread))
        registers += own
    memory = (parse_operation("load8 x"), parse_operation("load8 y"))
    return Litmus("random", tuple(threads), (*registers, *memory))


@st.composite
def locked(draw: st.DrawFn, thread: Sequence[Operation]) -> list[Operation]:
    """Return the operations with one or two critical sections around some of them."""
    made = list(thread)
    for mutex in draw(st.permutations(range(len(MUTEXES))))[: draw(st.integers(1, 2))]:
        start = draw(st.integers(0, len(made)))
        made.insert(start, Operation(Kind.LOCK, place=mutex))
        made.insert(draw(st.integers(start + 1, len(made))), Operation(Kind.UNLOCK, place=mutex))
    return made


@st.composite
def programs(draw: st.DrawFn) -> Litmus:
    """Return programs of two threads with up to four operations, or of three with up to three."""
    return program(draw, draw(st.sampled_from([(4, 4), (3, 3), (3, 3, 2), (2, 2, 3)])))


@st.composite
def programs_with_mutexes(draw: st.DrawFn) -> Litmus:
    """Return programs whose threads take mutexes, in any order and with overlaps."""
    return program(draw, draw(st.sampled_from([(3, 3), (2, 2, 1)])), mutexes=True)
