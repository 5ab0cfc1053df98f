"""Memory: what is given out is whole and nobody else's; every misuse is found with its history."""

import random
from typing import Any

import pytest

from testbed.errors import MachineFrozen
from testbed.machine import Machine, State
from tests.real.conftest import MakeMachine, kinds, stack_of

POISON_ALLOC, POISON_FREE = 0x5A, 0x6B
SIZES = (1, 7, 8, 63, 64, 65, 100, 1000, 4096, 8000, 8192, 20_000, 300_000)


@pytest.fixture
def booted(machine: MakeMachine) -> Machine:
    return machine(cpus=1)


def kmalloc(machine: Machine, size: int) -> int:
    return machine.call("kmalloc", size, 0)


def finding(machine: Machine, function: str, *args: int) -> Any:
    """Call what a finding must stop, and return that finding."""
    with pytest.raises(MachineFrozen):
        machine.call(function, *args)
    assert len(machine.findings) == 1
    return machine.findings[0]


def test_objects_are_aligned_do_not_overlap_and_know_their_size(booted: Machine) -> None:
    objects = {kmalloc(booted, size): size for size in SIZES * 3}
    assert len(objects) == 3 * len(SIZES)
    ends = 0
    for address, size in sorted(objects.items()):
        assert address % 64 == 0
        assert address >= ends
        assert booted.call("ksize", address) == size
        assert booted.call("ksize", address + 8) == 0
        assert booted.read(address, size) == bytes([POISON_ALLOC]) * size
        ends = address + size
    assert booted.call("slab_audit") == len(objects)

    for address, size in objects.items():
        booted.call("kfree", address)
        assert booted.call("ksize", address) == 0
        assert booted.read(address, min(size, 64)) == bytes([POISON_FREE]) * min(size, 64)
    assert booted.call("slab_audit") == 0
    assert int(booted.global_("slab_stats")["live_bytes"]) == 0


def test_what_was_freed_is_not_given_out_at_once(booted: Machine) -> None:
    first = kmalloc(booted, 100)
    booted.call("kfree", first)

    assert first not in {kmalloc(booted, 100) for _ in range(100)}


def test_memory_that_ran_out_comes_back(booted: Machine) -> None:
    objects = []
    while address := kmalloc(booted, 1_000_000):
        objects.append(address)
    assert len(objects) >= 8
    assert int(booted.global_("slab_stats")["failed"]) == 1
    for address in objects:
        booted.call("kfree", address)

    assert kmalloc(booted, 1 << 20)
    assert kinds(booted) == []


def test_zeroed_and_resized_objects(booted: Machine) -> None:
    zeroed = booted.call("kcalloc", 10, 30, 0)
    assert booted.read(zeroed, 300) == bytes(300)
    assert booted.call("kcalloc", 2**33, 2**33, 0) == 0
    booted.view(zeroed, "u8", 300)[:] = 7
    larger = booted.call("krealloc", zeroed, 500, 0)
    assert booted.read(larger, 300) == bytes([7]) * 300
    booted.call("kfree", larger)
    booted.call("kfree", 0)
    assert booted.call("slab_audit") == 0


def test_injected_failures_are_counted_and_come_from_the_seed(machine: MakeMachine) -> None:
    failed = []
    for seed in (1, 1, 2):
        booted = machine(cpus=1, fail_alloc=3, seed=seed)
        failed.append([kmalloc(booted, 10) == 0 for _ in range(100)])
        stats = booted.global_("slab_stats")
        assert int(stats["injected"]) == int(stats["failed"]) == sum(failed[-1])
        assert 10 < sum(failed[-1]) < 70
    assert failed[0] == failed[1] != failed[2]


def test_all_cpus_allocate_and_free_what_others_allocated(machine: MakeMachine) -> None:
    booted = machine(cpus=4, tick_us=300)
    booted.global_("slab_rounds")[...] = 1500
    tasks = [booted.spawn(cpu, "allocate_and_hand_over", cpu) for cpu in range(4) for _ in "ab"]
    assert booted.wait(60) is State.FINISHED

    assert booted.record["task"]["result"][tasks].tolist() == [0] * 8
    assert int(booted.global_("slab_mistakes")) == 0
    booted.call("free_what_was_handed")
    assert booted.call("slab_audit") == 0
    assert booted.call("slab_leak_check") == 0
    stats = booted.global_("slab_stats")
    assert int(stats["allocations"]) == int(stats["frees"]) == 8 * 1500


# What is found, each with the right history.


@pytest.mark.parametrize("size", [40, 20_000])
def test_freeing_twice_is_found(booted: Machine, size: int) -> None:
    address = kmalloc(booted, size)
    booted.call("kfree", address)
    found = finding(booted, "kfree", address)

    assert kinds(booted) == ["DOUBLE_FREE"]
    assert found["value"][:2].tolist() == [address, size]
    assert int(found["other"]["tsc"]) < int(found["here"]["tsc"])
    for side in ("here", "other"):
        assert "kfree" in stack_of(booted, found[side])


@pytest.mark.parametrize("offset", [8, -64, 4096, 1 << 40])
def test_freeing_what_was_never_allocated_is_found(booted: Machine, offset: int) -> None:
    wrong = kmalloc(booted, 100) + offset
    found = finding(booted, "kfree", wrong)

    assert kinds(booted) == ["BAD_FREE"]
    assert int(found["value"][0]) == wrong


@pytest.mark.parametrize("where", [-1, 100, 101, 127])
@pytest.mark.parametrize("finder", ["kfree", "slab_audit"])
def test_a_byte_outside_of_an_object_is_found(booted: Machine, where: int, finder: str) -> None:
    address = kmalloc(booted, 100)
    booted.view(address + where, "u8")[0] = 1
    found = finding(booted, finder, *([address] if finder == "kfree" else []))

    assert kinds(booted) == ["OVERRUN"]
    assert found["value"][:4].tolist() == [address, 100, address + where, 1]
    assert "kmalloc" in stack_of(booted, found["other"])


def test_every_byte_inside_may_be_written(booted: Machine) -> None:
    for size in SIZES:
        address = kmalloc(booted, size)
        booted.view(address, "u8", size)[:] = 0xFF
        booted.call("kfree", address)
    assert booted.call("slab_audit") == 0


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_a_write_after_free_is_found(booted: Machine, size: int) -> None:
    address = kmalloc(booted, size)
    booted.call("kfree", address)
    byte = random.Random(size).randrange(size)
    booted.view(address + byte, "u8")[0] = 1
    found = finding(booted, "slab_audit")

    assert kinds(booted) == ["USE_AFTER_FREE"]
    assert found["value"][:3].tolist() == [address, size, address + byte]
    assert "kfree" in stack_of(booted, found["other"])


def test_an_access_is_checked_against_the_object_it_lies_in(booted: Machine) -> None:
    address = kmalloc(booted, 100)
    assert booted.call("slab_check", address, 100)
    assert booted.call("slab_check", address + 60, 40)
    assert booted.call("slab_check", booted.alloc(64), 64), "not the slab's"

    finding(booted, "slab_check", address + 60, 41)
    assert kinds(booted) == ["OVERRUN"]


def test_an_access_after_free_is_found(booted: Machine) -> None:
    address = kmalloc(booted, 100)
    booted.call("kfree", address)
    found = finding(booted, "slab_check", address, 8)

    assert kinds(booted) == ["USE_AFTER_FREE"]
    assert "kfree" in stack_of(booted, found["other"])


def test_what_stays_behind_is_found_and_what_was_there_before_is_not(booted: Machine) -> None:
    kept = kmalloc(booted, 50)
    booted.call("slab_leak_mark")
    freed = kmalloc(booted, 60)
    booted.call("kfree", freed)
    assert booted.call("slab_leak_check") == 0

    leaked = kmalloc(booted, 70)
    found = finding(booted, "slab_leak_check")
    assert kinds(booted) == ["LEAK"]
    assert found["value"][:2].tolist() == [leaked, 70]
    assert leaked != kept
