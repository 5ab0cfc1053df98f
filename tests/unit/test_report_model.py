"""From records to findings: sides, places, values, waits and timelines."""

import re
from typing import Any

import numpy as np
import pytest

from testbed.findings import Finding, Kind, Place, Registers, Side, place_of
from testbed.paths import project_root
from testbed.report.addresses import Addresses, TextSpan
from testbed.report.model import Reading, from_machine, make_finding
from testbed.report.timeline import EVENT_NAMES, STOP_STATES, ring_events
from testbed.report.waits import WAIT_NAMES
from tests.unit.report_samples import (
    FINDING,
    MACHINE,
    PUSH_RBP,
    SampleSymbols,
    add_finding,
    crash,
    deadlock,
    facts,
    machine,
    reading,
    use_after_free,
)
from tests.unit.test_findings import header_enum


def only(made: Any) -> Finding:
    found = list(from_machine(made, facts(), reading()))
    assert len(found) == 1
    return found[0]


def fields(dtype: np.dtype[Any]) -> set[str]:
    names: set[str] = set()
    for name in dtype.names or ():
        names |= {name} | fields(dtype[name].base)
    return names


def test_the_samples_have_no_field_that_the_headers_lack() -> None:
    headers = "\n".join(
        path.read_text() for path in (project_root() / "shm_layout").glob("*.h")
    )
    declared = set(re.findall(r"\b\w+\b", headers))

    assert fields(MACHINE) - declared == set()
    assert fields(FINDING) <= fields(MACHINE)


def test_events_waits_and_states_are_those_of_the_headers() -> None:
    events = header_enum("ring.h", "event_type")
    waits = header_enum("task.h", "wait_kind")
    registers = re.search(
        r"struct pt_regs \{\s*u64 (.*?);\s*\}",
        re.sub(r"/\*.*?\*/", "", (project_root() / "shm_layout/finding.h").read_text()),
        re.DOTALL,
    )

    assert [f"EVENT_{name.upper().replace('-', '_')}" for name in EVENT_NAMES] == events[:-1]
    assert [f"WAIT_{name.upper().replace('-', '_')}" for name in WAIT_NAMES] == waits[:-1]
    assert registers is not None
    assert tuple(re.findall(r"\b(?!u64)\w+\b", registers[1])) == Registers.__struct_fields__


def test_the_states_of_stop_machine_are_those_of_the_source() -> None:
    source = (project_root() / "workers/kernel/stop_machine.c").read_text()
    names = re.findall(r"^\tMULTI_STOP_(\w+),", source, re.MULTILINE)

    assert tuple(name.lower().replace("_", "-") for name in names) == STOP_STATES


def test_a_use_after_free_has_both_sides_values_and_their_time() -> None:
    finding = only(use_after_free())

    assert finding.kind is Kind.USE_AFTER_FREE
    assert finding.title == (
        "use-after-free: counting_pre_handler() after free by storm_unregister()"
    )
    assert finding.sentence == (
        "CPU 1 used 64 bytes at arena+0xa3f040 after CPU 0 had freed them"
    )
    assert finding.other is not None
    assert (finding.here.task_name, finding.other.task_name) == ("storm/1", "arm/0")
    assert [place.name() for place in finding.here.stack] == [
        "record_side()", "counting_pre_handler()", "kprobe_int3_handler()", "push_rbp+0x4",
    ]
    assert finding.values == {"object": 0x1000_00A3_F040, "size": 64}
    assert (finding.seed, finding.patches) == (8675309, ("51-handler-after-unregister.patch",))


def test_source_lines_around_both_places_are_kept_in_the_report() -> None:
    finding = only(use_after_free())
    at = {(excerpt.file, excerpt.marked): excerpt for excerpt in finding.sources}

    freed = at["stress/kprobe_storm.c", 88]
    assert freed.lines[88 - freed.first] == "        line_88(<&>);"
    assert ("stress/kprobe_storm.c", 41) in at
    assert not any(excerpt.file == "workers/kernel/finding.c" for excerpt in finding.sources)


def test_a_crash_has_registers_and_the_bytes_that_differ() -> None:
    finding = only(crash())

    assert finding.title == "crash: SIGILL in push_rbp+0x8"
    assert finding.registers is not None
    assert finding.registers.ax == 0xDEADBEEF00000001
    assert finding.text is not None
    assert finding.text.place == "push_rbp+0x8"
    assert bytes.fromhex(finding.text.found)[8:11] == bytes((0xCC, 0x0F, 0x0B))
    assert finding.here.stack[0].address == PUSH_RBP + 8


def test_an_unknown_trap_is_where_the_breakpoint_is_not_behind_it() -> None:
    made = machine()
    record = add_finding(made, 8, (PUSH_RBP + 4, 0xCC))
    record["has_regs"] = 1
    record["regs"]["ip"] = PUSH_RBP + 5
    record["here"]["stack"][:2] = (PUSH_RBP + 5, 0x401211)

    finding = only(made)

    assert finding.title == "unknown-trap: trap of nobody at push_rbp+0x4"
    assert [place.name() for place in finding.here.stack] == [
        "push_rbp+0x4", "storm_unregister()",
    ]


def test_a_deadlock_says_who_waits_for_whom() -> None:
    finding = only(deadlock())
    waits = {wait.task: wait for wait in finding.waits}

    assert waits["arm/0"].object == "text_mutex"
    assert waits["arm/0"].holders == ("arm/1 on CPU 3",)
    assert waits["arm/0"].since_ms == 2500
    assert waits["storm/1"].holders == ("CPU 0", "CPU 3")
    assert place_of(finding.here) == finding.here.stack[1], "mutex_lock() itself is plumbing"
    assert finding.cpus[2].waiting == waits["arm/0"]
    assert [state.lost for state in finding.cpus] == [False, False, False, True]


def test_a_result_is_shown_like_the_one_that_was_expected() -> None:
    made = machine()
    add_finding(made, 15, (PUSH_RBP, 7, 2**60, 5))

    assert only(made).sentence == (
        "push_rbp+0x0 called with 0x7 on CPU 0 returned 0x5, expected 0x1000000000000000"
    )


def test_a_task_without_work_waits_for_nobody() -> None:
    made = deadlock()
    made["task"][0]["wait"]["kind"] = WAIT_NAMES.index("work")

    assert "idle/0" not in {wait.task for wait in only(made).waits}


def test_where_a_cpu_stood_comes_with_registers_unless_it_stopped_by_itself() -> None:
    made = use_after_free()
    made["cpu"][1]["frozen"]["regs"]["ip"] = 0
    finding = only(made)

    assert finding.cpus[2].registers is not None
    assert finding.cpus[2].stack[0].address == 0x401600, "an interrupted place is exact"
    assert finding.cpus[0].idle
    assert finding.cpus[0].stack == (), "an idle CPU borrows somebody's stack"
    assert finding.cpus[1].registers is None
    assert finding.cpus[1].stack[0].address == 0x4015FF, "a return address is behind the call"


def test_the_timeline_is_relative_to_the_finding_and_in_order() -> None:
    timeline = only(use_after_free()).timeline
    times = [event.ns for event in timeline]

    assert times == sorted(times)
    assert {event.cpu for event in timeline} == {0, 1, 2, 3}
    last = timeline[-1]
    assert (last.ns, last.cpu, last.task) == (-805, 3, "arm/1")
    assert last.text == "pokes push_rbp+0x0: cc 00 00 00 00 00 00 00"


def test_what_happened_around_the_other_side_is_kept_however_long_ago() -> None:
    made = use_after_free()
    ring = made["cpu"][0]["ring"]
    for place in range(100, 250):
        ring["event"][place] = (1_100_000 + place * 20, 4, 0, 0x401801, 0)
    events = only(made).timeline

    assert any(event.cpu == 0 and event.ns < -19_000 for event in events)


def test_a_ring_that_wrapped_is_read_from_its_oldest_event() -> None:
    ring = machine()["cpu"][0]["ring"].copy()
    ring["event"] = np.roll(ring["event"], 7)

    assert [row[0] for row in ring_events(ring)] == sorted(row[0] for row in ring_events(ring))
    assert len(ring_events(ring)) == 60


def test_a_place_that_was_claimed_and_never_filled_is_no_finding() -> None:
    made = use_after_free()
    made["nr_findings"] = 40

    assert len(list(from_machine(made, facts(), reading()))) == 1
    assert list(from_machine(machine(), facts(), reading())) == []


@pytest.mark.parametrize("kind", range(1, len(Kind) + 1))
def test_every_kind_is_read_from_a_record_with_nothing_but_its_number(kind: int) -> None:
    made = machine()
    add_finding(made, kind, ())
    finding = only(made)

    assert finding.kind is list(Kind)[kind - 1]
    assert "{" not in finding.sentence + finding.title


def test_python_makes_findings_of_its_own() -> None:
    finding = make_finding(facts(), Kind.WRONG_RESULT, "byte 17 of zlib/a.c differs")

    assert finding.here == Side(-1, task_name="testbed")
    assert finding.sentence == "byte 17 of zlib/a.c differs"
    about = make_finding(facts(), Kind.WRONG_RESULT, "x", place=Place("deflate+0x0", "libz.so.1"))
    assert about.signature != finding.signature


def test_addresses_read_by_what_they_are() -> None:
    addresses = Addresses(SampleSymbols(), [TextSpan(PUSH_RBP, 0x20, "push_rbp", "assembled")])

    assert addresses.code(0x401234) == "storm_unregister()"
    assert addresses.code(PUSH_RBP + 0x1F) == "push_rbp+0x1f"
    assert addresses.code(PUSH_RBP + 0x20) == "text+0x60"
    assert addresses.code(0xDEAD000) == "0xdead000"
    assert addresses.data(0x1000_0000_5000) == "text_mutex"
    assert addresses.data(0x1000_0000_7000) == "arena+0x7000"
    assert addresses.data(0) == "0"


def test_times_need_no_other_than_the_given_clock() -> None:
    slow = Reading(reading().addresses, cycles_per_ns=1.0)
    finding = next(iter(from_machine(use_after_free(), facts(), slow)))

    assert finding.timeline[-1].ns == -1610
