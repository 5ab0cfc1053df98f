"""A schedule is a value: what is written can be read again, and what cannot is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.explore.schedule import (
    CPUS,
    KINDS,
    NOBODY,
    OPTIONS,
    Intervention,
    Schedule,
    ScheduleError,
    ScheduleFile,
    decode,
    encode,
)

CPU = st.integers(0, CPUS - 1) | st.just(NOBODY)
EVENT = st.integers(0, 2**32 - 1)
AGENTS = st.builds(
    Intervention, CPU, EVENT, st.integers(0, len(KINDS) * CPUS + OPTIONS - 1)
)
SCHEDULES = st.builds(Schedule, st.lists(AGENTS).map(tuple))


@given(SCHEDULES)
def test_a_schedule_is_read_as_it_was_written(schedule: Schedule) -> None:
    assert Schedule.parse(str(schedule)) == schedule


@given(SCHEDULES, st.lists(st.integers(0, 2**64 - 1)).map(tuple))
def test_a_schedule_file_is_read_as_it_was_written(
    schedule: Schedule, checkpoints: tuple[int, ...]
) -> None:
    document = ScheduleFile(
        version="1", target="x.c", build_id="b", seed=7, strategy="pct", options=("-D", "X"),
        interventions=schedule.interventions, checkpoints=checkpoints, end="failed",
        signature=2**64 - 1, command=("testbed", "explore", "x.c"),
    )  # fmt: skip

    assert decode(encode(document)) == document
    assert document.schedule == schedule


def test_a_schedule_reads_as_what_happens() -> None:
    schedule = Schedule.parse("1:1@5c2,1@7d1,n@0d0,0@3i1,0@4t0,2@9p3,2@9p1*2")

    assert schedule.told() == [
        "before operation 5 of CPU 1, CPU 2 runs",
        "before operation 7 of CPU 1, the oldest store of CPU 1 reaches memory",
        "when no CPU can go on (time 0), the oldest store of CPU 0 reaches memory",
        "before operation 3 of CPU 0, CPU 1 takes an interrupt",
        "before operation 4 of CPU 0, the timer of CPU 0, a device or an NMI interrupts",
        "after 9 operations, CPU 2 takes option 3 of its data",
        "after 9 operations, CPU 2 takes option 1 of its data 2 times",
    ]


def test_no_interventions_are_the_default_schedule() -> None:
    assert Schedule.parse("1:") == Schedule()
    assert str(Schedule()) == "1:"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1@5c2", "not a schedule; one looks like"),
        ("", "not a schedule"),
        ("9:1@5c2", "version 9; this testbed reads version 1"),
        ("1:1@5x2", "what does '1@5x2' mean"),
        ("1:1@5c2;1@7d1", "what does"),
        ("1:16@5c2", "out of range; there are 16 CPUs"),
        ("1:1@5c16", "out of range"),
        ("1:1@4294967296c1", "out of range"),
        ("1:1@1c0*65537", "out of range"),
        ("1:1@5p64", "out of range"),
    ],
)
def test_what_is_no_schedule_is_told(text: str, told: str) -> None:
    with pytest.raises(ScheduleError, match=told):
        Schedule.parse(text)


@pytest.mark.parametrize("data", [b"", b"{}", b'{"document": "finding"}', b"\xff"])
def test_what_is_no_schedule_file_is_told(data: bytes) -> None:
    with pytest.raises(ScheduleError, match=r"^x: not a schedule of this testbed"):
        decode(data, "x")
