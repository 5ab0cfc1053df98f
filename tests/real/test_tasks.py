"""CPUs run tasks side by side, preempt them and rest; text is where it should be, and no more."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from numpy.typing import NDArray

from testbed.build import Request, build
from testbed.layout import Layout
from testbed.machine import Machine, MachineConfig, State
from testbed.text.image import Image
from testbed.text.model import TEXT_BASE, Protection
from tests.real.conftest import MakeMachine, kinds, wait_until


def processes(machine: Machine) -> list[int]:
    cpus = machine.record["cpu"]["pid"][: machine.config.cpus]
    return [int(machine.record["coordinator"]), *map(int, cpus)]


def maps(pid: int) -> list[tuple[int, int, str]]:
    """Return start, end and permissions of every mapping of a process."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, permissions = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        found.append((start, end, permissions))
    return found


@pytest.mark.parametrize("cpus", [1, 2, 5, 16, 64])
def test_a_task_runs_on_every_cpu_and_nothing_is_left(machine: MakeMachine, cpus: int) -> None:
    children = set(psutil.Process().children(recursive=True))
    shared = sorted(os.listdir("/dev/shm"))
    booted = machine(cpus=cpus)
    for cpu in range(cpus):
        booted.spawn(cpu, "call_each_often", 2)
    assert booted.wait(60) is State.FINISHED
    assert int(booted.global_("noted")["count"]) == 2 * cpus * cpus
    assert int(booted.global_("noted")["mask"]) == (1 << cpus) - 1
    pids = processes(booted)
    booted.close()

    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert set(psutil.Process().children(recursive=True)) <= children
    assert sorted(os.listdir("/dev/shm")) == shared


def test_no_memory_of_any_process_can_be_written_and_run(
    machine: MakeMachine, image: Image
) -> None:
    booted = machine(cpus=3)
    for pid in processes(booted):
        mapped = maps(pid)
        assert mapped
        assert not [one for one in mapped if "w" in one[2] and "x" in one[2]]
        inside = {(start, end): permissions for start, end, permissions in mapped
                  if TEXT_BASE <= start < TEXT_BASE + len(image.text)}
        for segment in image.segments:
            start = TEXT_BASE + segment.offset
            runs = "x" if segment.protection & Protection.EXEC else "-"
            assert [permissions for (first, last), permissions in inside.items()
                    if first <= start and start + segment.size <= last] == [f"r-{runs}s"]


def test_the_text_is_what_was_loaded(machine: MakeMachine, image: Image) -> None:
    booted = machine(cpus=1)
    assert booted.read(TEXT_BASE, len(image.text)) == image.text
    for function in image.functions:
        if function.expected is not None:
            result = booted.text_call(function.addr, 3, 2**64 - 5)
            assert result == function.expected(3, 2**64 - 5) & (2**64 - 1), function.name


def test_two_tasks_that_only_compute_share_a_cpu(machine: MakeMachine) -> None:
    booted = machine(tick_us=300)
    tasks = [booted.spawn(1, name) for name in ("keep_moving", "spin_and_count")]
    switched = booted.record["task"]["nivcsw"]
    assert wait_until(lambda: all(switched[task] >= 20 for task in tasks))
    counters = [int(booted.global_("moving")[1, 0]), int(booted.global_("turns_of_other"))]
    booted.stop()

    assert booted.wait(20) is State.FINISHED
    assert all(counters)
    stats = booted.cpu_stats()[1]
    assert stats["nr_preempted"] >= 40
    assert stats["nr_ticks"] > 0


def test_without_a_tick_nobody_is_preempted(machine: MakeMachine) -> None:
    booted = machine(tick_us=0)
    first, second = booted.global_("moving"), booted.global_("turns_of_other")
    booted.spawn(1, "keep_moving")
    assert wait_until(lambda: first[1, 0] > 0)
    booted.spawn(1, "spin_and_count")
    assert wait_until(lambda: second > 0)
    before, turns = int(first[1, 0]), int(second)
    assert wait_until(lambda: int(second) > turns + 10_000_000)
    assert int(first[1, 0]) == before
    # Nobody gives way: not the one that computes to the one that would end.
    booted.stop()
    assert booted.wait(20) is State.FINISHED


def test_a_cpu_without_tasks_rests_in_its_idle_task(machine: MakeMachine) -> None:
    booted = machine(cpus=2)
    cpu, tasks = booted.record["cpu"][1], booted.record["task"]
    assert wait_until(lambda: cpu["in_eqs"] and not cpu["nr_running"])
    base = booted.layout.offset("struct machine", "task") + booted.arena.base
    index = (int(cpu["idle"]) - base) // booted.layout.sizeof("struct task_struct")
    assert int(cpu["curr"]) == int(cpu["idle"])
    assert tasks["name"][index] == b"idle/1"
    assert int(tasks["class"][index]) == booted.layout.enum("task_class")["TASK_IDLE"]

    # It wakes up for whatever comes, and rests again.
    assert booted.call("call_single", 1, 1) == 0
    assert wait_until(lambda: cpu["in_eqs"] and cpu["sleeping"])


def all_beyond(counters: NDArray[Any], before: NDArray[Any]) -> bool:
    return bool((counters > before).all())


@pytest.mark.parametrize("cpus", [8, 16])
def test_more_cpus_than_cores_get_on_all_of_them(machine: MakeMachine, cpus: int) -> None:
    booted = machine(cpus=cpus, cores=1)
    for cpu in range(cpus):
        booted.spawn(cpu, "keep_moving")
    counters = booted.global_("moving")
    for _ in range(3):
        before = counters[:cpus, 0].copy()
        assert wait_until(partial(all_beyond, counters[:cpus, 0], before))
    assert booted.call("call_each") == cpus
    assert booted.call("look_while_stopped", 0) == 0
    booted.stop()

    assert booted.wait(30) is State.FINISHED
    assert kinds(booted) == []


USER = """\
#include <kernel/mutex.h>
#include <kernel/sched.h>

static DEFINE_MUTEX(my_mutex);

struct my_block {
	u64 given;
	u64 doubled;
};

u64 my_rounds;

s64 my_task(void *argument)
{
	struct my_block *block = argument;

	mutex_lock(&my_mutex);
	block->doubled = 2 * block->given;
	my_rounds++;
	mutex_unlock(&my_mutex);
	return block->doubled;
}
"""


def test_a_users_own_file_runs(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_text(USER)
    core = build(Request(extra=(tmp_path / "mine.c",)))
    assert Layout.of(core).sizeof("struct my_block") == 16
    with Machine(core, None, MachineConfig(cpus=2)) as booted:
        blocks = [booted.alloc("struct my_block") for _ in range(4)]
        for number, block in enumerate(blocks):
            booted.view(block, "struct my_block")[0]["given"] = number
            booted.spawn(number % 2, "my_task", block)
        assert booted.wait(20) is State.FINISHED
        doubled = [int(booted.view(block, "struct my_block")[0]["doubled"]) for block in blocks]
        assert doubled == [0, 2, 4, 6]
        assert int(booted.global_("my_rounds")) == 4
