"""Devices and NMIs of a program: they come wherever they can, and nowhere else.

What a program can come to is worked out here for itself, by all the ways in which interrupts can be
put between the steps of a task and into each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.explore.process import Job
from testbed.explore.schedule import Schedule
from testbed.explore.target import build_target, find_target
from testbed.explore.world import World
from testbed.findings import Kind, Verdict
from tests.explore.conftest import Explore, kept
from tests.explore.running import EVERYTHING, PROGRAMS

# Where the portfolio has a hard time, what it sees is only among what there is.
ENOUGH = 20_000

CASES = [
    ("", {0, 1, 2, 3}),
    ("INTERRUPTS_OFF", {0, 3}),
    ("REMOTE", {0, 1, 2, 3}),
    ("BY_NMI", {0, 1, 2, 3}),
    ("BY_NMI INTERRUPTS_OFF", {0, 1, 2, 3}),
    ("INCREMENT", {0, 1}),
    ("INCREMENT INTERRUPTS_OFF", {0}),
    ("INCREMENT BY_NMI INTERRUPTS_OFF", {0, 1}),
    ("INCREMENT UNLOCKED BY_NMI", {0}),
    # When nothing else can happen they come.
    ("WAITS", {1}),
    ("WAITS BY_NMI", {1}),
    ("NESTED", {0, 1, 2, 3}),
    ("NESTED BY_NMI", {0, 1, 2, 3}),
]


def orders(off: bool) -> Iterator[int]:
    """Yield what the digits of -D BOTH can come to: each of three reads, and then writes.

    A handler runs on top of what it has come into; an NMI comes into anything but itself, a device
    into the task alone, where interrupts are on.
    """

    def go(
        stack: tuple[tuple[int, int | None], ...], left: frozenset[int], seen: int
    ) -> Iterator[int]:
        for who in left:
            in_handler = any(one != 3 for one, _ in stack)
            in_region = off and any(one == 3 and read is not None for one, read in stack)
            if who == 2 or not (in_handler or in_region):
                yield from go((*stack, (who, None)), left - {who}, seen)
        if not stack:
            yield seen
            return
        who, read = stack[-1]
        if read is None:
            yield from go((*stack[:-1], (who, seen)), left, seen)
        else:
            yield from go(stack[:-1], left, read * 10 + who)

    yield from go(((3, None),), frozenset({1, 2}), 0)


class Program:
    """The program of -D `defines`, to be searched in several ways."""

    def __init__(self, defines: str) -> None:
        self._target = find_target(str(PROGRAMS / "own_interrupts.c"))
        self._core = build_target(self._target, (), tuple(defines.split()))

    def outcomes(self, strategy: str, buffer: int = 8) -> dict[int, int]:
        """Return what it comes to, and how often; nothing is left out but by the portfolio."""
        search = strategy == "portfolio"
        job = Job(
            "search" if search else "exhaust", strategy, seed=1, buffer=buffer,
            runs=ENOUGH if search else EVERYTHING,
            flags=frozenset({"all"} if buffer else {"all", "sc"}),
        )  # fmt: skip
        with World(self._core, self._target) as world, world.explorer(0) as explorer:
            result = explorer.do(job)
        assert not result.ends["failed"]
        assert search or result.complete
        return dict(result.outcomes)


@pytest.mark.parametrize(("defines", "outcomes"), CASES)
def test_it_comes_wherever_it_can(defines: str, outcomes: set[int]) -> None:
    program = Program(defines)

    for strategy, buffer in (("dpor", 8), ("dpor", 1), ("dpor", 0), ("stateful", 8), ("sleep", 8)):
        assert program.outcomes(strategy, buffer).keys() == outcomes, (strategy, buffer)
    assert program.outcomes("portfolio").keys() <= outcomes


@pytest.mark.parametrize("off", ["", "INTERRUPTS_OFF"])
def test_a_device_and_an_nmi_come_in_every_order_and_into_each_other(off: str) -> None:
    possible = set(orders(bool(off)))

    program = Program(f"BOTH {off}")

    assert {3, 31, 123, 231, 312} <= possible
    for strategy in ("dpor", "stateful", "sleep"):
        assert program.outcomes(strategy).keys() == possible, strategy
    assert program.outcomes("portfolio").keys() <= possible


def test_one_nmi_has_as_many_places_as_there_are_operations_and_ends() -> None:
    # Before each of three stores, before the end of their task or behind it; or it does not come.
    assert Program("BY_NMI").outcomes("dpor") == {0: 2, 1: 1, 2: 1, 3: 2}


# A lock that an interrupt takes is also known by who takes it where.
DEADLOCKS = {Kind.DEADLOCK, Kind.LOCK_IRQ}

LOCKS: list[tuple[str, set[Kind]]] = [
    ("", set()),
    ("IRQS_ON", DEADLOCKS),
    ("BY_NMI", DEADLOCKS),
    ("BY_NMI TRIES", set()),
    ("ENDS_ON", {Kind.BAD_CONTEXT}),
]


@pytest.mark.parametrize(("defines", "kinds"), LOCKS)
def test_a_handler_that_is_not_safe_where_it_runs_is_found(
    explore: Explore, defines: str, kinds: set[Kind]
) -> None:
    result = explore("interrupt_locks.c", defines=tuple(defines.split()), strategy="dpor")

    assert set(result.kinds) <= kinds
    assert result.findings if kinds else result.complete


def test_an_nmi_is_told_and_its_schedule_can_be_read(explore: Explore) -> None:
    result = explore("interrupt_locks.c", defines=("BY_NMI",))

    assert "takes an NMI" in [step.text for step in result.story.steps]
    assert str(Schedule.parse(result.story.schedule)) == result.story.schedule
    assert any("or an NMI interrupts" in told for told in result.story.interventions)


SCENARIOS = '''"""Interrupts of scenarios."""

from testbed.scenario import scenario


@scenario(cpus=1)
def counted(m):
    """Additions by one instruction are not lost."""
    m.c_task("tasks.c", "add", cpu=0)
    m.c_irq("tasks.c", "add", cpu=0)
    m.c_nmi("tasks.c", "add", cpu=0)
    m.after("tasks.c", "all_counted")


@scenario(cpus=2)
def nested(m):
    """An interrupt that has interrupts on, and one that cannot be held off, end as they began."""
    m.task(cpu=0).irq_disable().irq_enable()
    m.irq(cpu=0).irq_enable().preempt_disable().preempt_enable().irq_disable()
    m.nmi(cpu=0).preempt_disable().preempt_enable()


@scenario(cpus=1, expect="violated")
def lost(m):
    """Additions by two instructions are not lost either, which is not true."""
    m.c_task("tasks.c", "add_slowly")
    m.c_irq("tasks.c", "add_slowly", argument=1)
    m.after("tasks.c", "all_counted")


@scenario(cpus=1, expect="violated")
def false_claim(m):
    """An NMI never comes, which is not true."""
    m.c_task("tasks.c", "add")
    m.c_nmi("tasks.c", "fail")
'''

TASKS = """
#include <irqflags.h>

static u64 sum, calls;

s64 add(void *argument);
s64 add_slowly(void *argument);
s64 fail(void *argument);
s64 all_counted(void);

s64 add(void *argument)
{
	this_cpu_add(&calls, 1);
	this_cpu_add(&sum, 1);
	return 0;
}

s64 add_slowly(void *argument)
{
	this_cpu_add(&calls, 1);
	WRITE_ONCE(sum, READ_ONCE(sum) + 1);
	return 0;
}

s64 fail(void *argument)
{
	return 1;
}

s64 all_counted(void)
{
	return sum != calls;
}
"""


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("counted", Verdict.HELD), ("nested", Verdict.HELD), ("lost", Verdict.VIOLATED),
     ("false_claim", Verdict.VIOLATED)],
)
def test_interrupts_of_a_scenario_are_explored(
    explore: Explore, name: str, verdict: Verdict
) -> None:
    folder = kept({"tasks.c": TASKS, "mine.py": SCENARIOS})

    result = explore(f"{folder / 'mine.py'}::{name}", strategy="dpor")

    assert result.verdict is verdict
    assert set(result.kinds) <= {Kind.CLAIM}
    assert result.findings or result.complete
