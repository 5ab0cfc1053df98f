"""Reports of findings that real machines make: both places are the right ones."""

import time
from typing import Any

import pytest

from testbed.build import Request, build
from testbed.cache import Core
from testbed.config import MachineConfig
from testbed.findings import Finding, Kind, decode, encode, place_of
from testbed.machine import Machine, State
from testbed.machine_code import cycles_per_ns
from testbed.report.addresses import Addresses
from testbed.report.html import finding_html
from testbed.report.model import Reading, from_machine
from testbed.report.text import finding_text
from testbed.symbols import Symbols
from tests.unit.report_samples import facts

TASKS = r"""
#include <finding.h>
#include <kernel/mutex.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

static void *shared;
static u32 turn;
static DEFINE_MUTEX(first_mutex);
static DEFINE_MUTEX(second_mutex);

/* A call at the very end would leave no frame behind: hence the barriers. */
noinline void free_early(void)
{
	shared = kmalloc(48, GFP_KERNEL);
	kfree(shared);
	smp_store_release(&turn, 1);
}

noinline void free_late(void)
{
	while (!smp_load_acquire(&turn))
		cond_resched();
	kfree(shared);
	barrier();
}

s64 early(void *argument)
{
	free_early();
	return 0;
}

s64 late(void *argument)
{
	free_late();
	return 0;
}

noinline void store_to(u64 *where)
{
	*where = 1;
}

s64 crash(void *argument)
{
	store_to(argument);
	return 0;
}

noinline void lock_both(struct mutex *one, struct mutex *other)
{
	mutex_lock(one);
	atomic_fetch_add(1, &turn);
	while (smp_load_acquire(&turn) < 2)
		cond_resched();
	mutex_lock(other);
	barrier();
}

s64 lock_forth(void *argument)
{
	lock_both(&first_mutex, &second_mutex);
	return 0;
}

s64 lock_back(void *argument)
{
	lock_both(&second_mutex, &first_mutex);
	return 0;
}
"""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Core:
    source = tmp_path_factory.mktemp("tasks") / "tasks.c"
    source.write_text(TASKS)
    return build(Request(extra=(source,)))


def line_of(text: str) -> int:
    return TASKS.splitlines().index(text) + 1


def finding_of(core: Core, tasks: list[tuple[int, str, int]], **config: Any) -> Finding:
    """Run tasks of (cpu, function, argument) until a finding is made, and read it."""
    with Machine(core, config=MachineConfig(cpus=2, **config)) as machine:
        for cpu, function, argument in tasks:
            machine.spawn(cpu, function, argument)
        assert machine.wait(20) is State.FROZEN
        now = time.monotonic_ns()
        reading = Reading(Addresses(Symbols.of(core)), cycles_per_ns(), now, core.source)
        return next(iter(from_machine(machine.record, facts(), reading)))


def test_a_double_free_names_who_freed_first_and_who_freed_again(core: Core) -> None:
    finding = finding_of(core, [(0, "late", 0), (1, "early", 0)])
    here, there = place_of(finding.here), place_of(finding.other)

    assert finding.kind is Kind.DOUBLE_FREE
    assert finding.title == "double-free: free_late() after free by free_early()"
    assert here is not None
    assert there is not None
    assert finding.other is not None
    assert (finding.here.cpu, finding.other.cpu) == (0, 1)
    assert (finding.here.task_name, finding.other.task_name) == ("late", "early")
    assert there.line == line_of("noinline void free_early(void)") + 3
    assert here.line == line_of("noinline void free_late(void)") + 4
    assert any("        kfree(shared);" in excerpt.lines for excerpt in finding.sources)


def test_a_crash_names_the_line_that_crashed(core: Core) -> None:
    finding = finding_of(core, [(1, "crash", 0x123456)])
    place = place_of(finding.here)

    assert finding.kind is Kind.CRASH
    assert finding.title == "crash: SIGSEGV in store_to()"
    assert finding.value_text["fault_address"] == "0x123456"
    assert place is not None
    assert place.line == line_of("\t*where = 1;")
    assert finding.registers is not None
    assert finding.registers.ip == place.address


def test_a_deadlock_says_who_waits_for_whom(core: Core) -> None:
    finding = finding_of(
        core, [(0, "lock_forth", 0), (1, "lock_back", 0)], hang_ms=300
    )
    waits = {wait.task: (wait.kind, wait.object, wait.holders) for wait in finding.waits}

    assert finding.kind is Kind.DEADLOCK
    assert finding.title == "deadlock: lock_both() and lock_both() wait for each other"
    assert waits == {
        "lock_forth": ("mutex", "second_mutex", ("lock_back on CPU 1",)),
        "lock_back": ("mutex", "first_mutex", ("lock_forth on CPU 0",)),
    }
    assert all(300 <= wait.since_ms < 10_000 for wait in finding.waits)


def test_a_real_finding_survives_all_its_forms(core: Core) -> None:
    finding = finding_of(core, [(0, "late", 0), (1, "early", 0)])
    newest = finding.timeline[-1]

    assert decode(encode(finding)) == finding
    assert "freed again by" in finding_text(finding)
    assert "free_late()" in finding_html(finding)
    assert (newest.type, newest.cpu) == ("finding", 0)
    assert abs(newest.ns) < 1_000_000
