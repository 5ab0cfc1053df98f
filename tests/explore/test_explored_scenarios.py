"""Scenarios of Python files: tasks in C, and operations on text."""

from pathlib import Path

import pytest

from testbed.findings import Verdict
from tests.explore.conftest import Explore, kept

SCENARIOS = '''"""Scenarios to be explored."""

from testbed.scenario import scenario


@scenario(cpus=2, expect="violated")
def store_buffering(m):
    """One of two tasks sees what the other one has stored."""
    m.c_task("tasks.c", "left", cpu=0)
    m.c_task("tasks.c", "right", cpu=1)
    m.before("tasks.c", "prepare")
    m.after("tasks.c", "one_has_seen")


@scenario(cpus=2)
def with_arguments(m):
    """A task gets its argument."""
    m.c_task("tasks.c", "is_seven", cpu=1, argument=7)


@scenario(cpus=2)
def grace_period(m):
    """A grace period ends, whatever others do."""
    m.task(cpu=0).preempt_disable().preempt_enable()
    m.task(cpu=1).irq_disable().irq_enable().synchronize_rcu()


@scenario(cpus=2)
def with_text(m):
    """A function is called."""
    m.task(cpu=0).call(m.function("push_rbp"))
'''

TASKS = """
#include <compiler.h>

static u64 x, y, seen_left, seen_right, prepared;

s64 prepare(void);
s64 left(void *argument);
s64 right(void *argument);
s64 one_has_seen(void);
s64 is_seven(void *argument);

s64 prepare(void)
{
	prepared = 1;
	return 0;
}

s64 left(void *argument)
{
	WRITE_ONCE(x, 1);
	seen_left = READ_ONCE(y);
	return !prepared;
}

s64 right(void *argument)
{
	WRITE_ONCE(y, 1);
	seen_right = READ_ONCE(x);
	return 0;
}

s64 one_has_seen(void)
{
	return !seen_left && !seen_right;
}

s64 is_seven(void *argument)
{
	return (u64)argument != 7;
}
"""


@pytest.fixture
def file() -> Path:
    return kept({"tasks.c": TASKS, "mine.py": SCENARIOS}) / "mine.py"


def test_c_tasks_are_explored_with_what_is_before_and_after_them(
    explore: Explore, file: Path
) -> None:
    result = explore(f"{file}::store_buffering")

    assert result.verdict is Verdict.VIOLATED
    assert "one_has_seen()" in result.finding.title
    assert {lane.name for lane in result.story.lanes} == {"left()", "right()"}


def test_without_store_buffers_the_same_scenario_holds(explore: Explore, file: Path) -> None:
    assert explore(f"{file}::store_buffering", buffer=0, runs=2000).verdict is Verdict.HELD


def test_a_task_gets_its_argument(explore: Explore, file: Path) -> None:
    assert explore(f"{file}::with_arguments", runs=100).verdict is Verdict.HELD


def test_operations_without_text_are_explored(explore: Explore, file: Path) -> None:
    result = explore(f"{file}::grace_period", strategy="portfolio", runs=2000)

    assert result.verdict is Verdict.HELD
    assert result.executions == 2000


def test_a_function_of_text_is_called(explore: Explore, file: Path) -> None:
    result = explore(f"{file}::with_text", runs=100)

    assert result.verdict is Verdict.HELD
    assert result.complete
