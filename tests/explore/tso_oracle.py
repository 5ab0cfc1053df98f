"""x86-TSO by the book: all outcomes of a small program, by search through all states.

The abstract machine of Owens, Sarkar and Sewell (A better x86 memory model: x86-TSO, TPHOLs 2009):
one memory; for each thread a buffer of stores, first in first out, that the thread itself reads
first. A locked operation and mfence are done only with an empty buffer, and happen at once. So do
the operations of a mutex; it is taken only when nobody has it.

Differs from the paper in sizes: a store is its bytes, which reach memory together; a load takes
each byte from the newest buffered store that has it, else from memory. So may a processor (AMD64
Architecture Programmer's Manual, volume 2, 7.2, on loads that combine bytes).

It shares nothing with the engine but the programs, and has no reduction of any kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.explore.litmus import DEADLOCK, Kind, Litmus, Operation, Outcome

Store = tuple[int, bytes]
Registers = tuple[tuple[str, int], ...]


class Thread(NamedTuple):
    """Where a thread is: operations done, its registers, and its stores not yet in memory."""

    done: int = 0
    registers: Registers = ()
    buffer: tuple[Store, ...] = ()


class State(NamedTuple):
    """The whole machine."""

    threads: tuple[Thread, ...]
    memory: bytes
    taken: frozenset[int] = frozenset()  # mutexes


def outcomes(litmus: Litmus, depth: int | None = None) -> frozenset[Outcome]:
    """Return every outcome that x86-TSO allows, DEADLOCK among them.

    Args:
        litmus: the program.
        depth: stores that a buffer holds; 0 = stores go to memory, which is sequential consistency;
            None = any number.
    """
    start = State(tuple(Thread() for _ in litmus.threads), litmus.initial)
    seen, left, found = {start}, [start], set()
    while left:
        state = left.pop()
        following = list(_steps(litmus, state, depth))
        if not following:
            found.add(_observe(litmus, state) if _is_over(litmus, state) else DEADLOCK)
        for step in following:
            if step not in seen:
                seen.add(step)
                left.append(step)
    return frozenset(found)


def _steps(litmus: Litmus, state: State, depth: int | None) -> Iterator[State]:
    """Every state that one step leads to; none when nobody can go on."""
    for number, thread in enumerate(state.threads):
        if thread.buffer:
            after = thread._replace(buffer=thread.buffer[1:])
            yield _with(state, number, after, _write(state.memory, thread.buffer[0]))
        if thread.done < len(litmus.threads[number]):
            operation = litmus.threads[number][thread.done]
            done = thread._replace(done=thread.done + 1)
            yield from _do(operation, number, done, state, depth)


def _do(
    operation: Operation, number: int, thread: Thread, state: State, depth: int | None
) -> Iterator[State]:
    """The operation, if it can be done now."""
    if operation.kind is Kind.STORE:
        store = (operation.place, _bytes(operation, 0, thread))
        if depth == 0:
            yield _with(state, number, thread, _write(state.memory, store))
        elif depth is None or len(thread.buffer) < depth:
            thread = thread._replace(buffer=(*thread.buffer, store))
            yield _with(state, number, thread, state.memory)
        return
    if operation.kind is not Kind.LOAD and thread.buffer:
        return
    if operation.kind is Kind.LOCK:
        if operation.place not in state.taken:
            taken = state.taken | {operation.place}
            yield _with(state._replace(taken=taken), number, thread, state.memory)
        return
    if operation.kind is Kind.UNLOCK:
        taken = state.taken - {operation.place}
        yield _with(state._replace(taken=taken), number, thread, state.memory)
        return
    memory = state.memory
    old = _read(operation, thread, memory)
    if operation.kind is Kind.EXCHANGE:
        memory = _write(memory, (operation.place, _bytes(operation, 0, thread)))
    elif operation.kind is Kind.ADD:
        added = old + int.from_bytes(_bytes(operation, 0, thread), "little")
        memory = _write(memory, (operation.place, _cut(added, operation.size)))
    elif operation.kind is Kind.COMPARE and _cut(old, operation.size) == _bytes(
        operation, 0, thread
    ):
        memory = _write(memory, (operation.place, _bytes(operation, 1, thread)))
    if operation.register:
        registers = dict(thread.registers) | {operation.register: old}
        thread = thread._replace(registers=tuple(sorted(registers.items())))
    yield _with(state, number, thread, memory)


def _cut(value: int, size: int) -> bytes:
    return (value % (1 << 8 * size)).to_bytes(size, "little")


def _bytes(operation: Operation, index: int, thread: Thread) -> bytes:
    value = operation.values[index]
    return _cut(dict(thread.registers)[value] if isinstance(value, str) else value, operation.size)


def _write(memory: bytes, store: Store) -> bytes:
    place, data = store
    return memory[:place] + data + memory[place + len(data) :]


def _read(operation: Operation, thread: Thread, memory: bytes) -> int:
    for store in thread.buffer:
        memory = _write(memory, store)
    return int.from_bytes(memory[operation.place : operation.place + operation.size], "little")


def _with(state: State, number: int, thread: Thread, memory: bytes) -> State:
    threads = (*state.threads[:number], thread, *state.threads[number + 1 :])
    return State(threads, memory, state.taken)


def _is_over(litmus: Litmus, state: State) -> bool:
    pairs = zip(state.threads, litmus.threads, strict=True)
    return all(thread.done == len(operations) for thread, operations in pairs)


def _observe(litmus: Litmus, state: State) -> Outcome:
    registers = dict(pair for thread in state.threads for pair in thread.registers)
    return tuple(
        registers[what] if isinstance(what, str) else _read(what, Thread(), state.memory)
        for what in litmus.observe
    )
