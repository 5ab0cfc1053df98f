"""Whatever a CPU crashes on is a finding with its registers and both rows of bytes."""

import signal
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from testbed.errors import MachineFrozen
from testbed.findings import Finding, Kind
from testbed.machine import Machine, State
from testbed.report.addresses import Addresses, text_spans
from testbed.report.model import Reading, from_machine
from testbed.report.text import finding_text
from testbed.symbols import Symbols
from testbed.text.image import Image
from testbed.text.model import TEXT_BASE
from tests.real.conftest import MakeMachine, kinds, wait_until
from tests.unit.report_samples import facts

FUNCTION = "push_rbp"
LOAD = bytes.fromhex("488b07")  # mov rax, [rdi]
STORE = bytes.fromhex("48890f")  # mov [rdi], rcx
JUMP = bytes.fromhex("ffe7")  # jmp rdi
UD2 = bytes.fromhex("0f0b")
INT3 = b"\xcc"
DIVIDE = bytes.fromhex("31c931d248f7f1")  # xor ecx, ecx; xor edx, edx; div rcx
SINGLE_STEP = bytes.fromhex("9c810c24000100009d90")  # pushf; or dword [rsp], TF; popf; nop

NOWHERE = 0x1234_5678_9000
NOT_CANONICAL = 0xDEAD_0000_0000_0000


def crash(machine: Machine, image: Image, code: bytes, argument: int = 0) -> Any:
    """Put `code` at the start of a function, call it, and return the finding."""
    address = image.function(FUNCTION).addr
    machine.view(address, "u8", len(code))[:] = np.frombuffer(code, np.uint8)
    with pytest.raises(MachineFrozen):
        machine.text_call(address, argument, 2)
    assert machine.state is State.FROZEN
    assert len(machine.findings) == 1
    return machine.findings[0]


def check_bytes(found: Any, image: Image, code: bytes) -> None:
    """Both rows show the text around the place: as it stands, and as it was loaded."""
    first = int(found["bytes_addr"]) - TEXT_BASE
    start = image.function(FUNCTION).addr - TEXT_BASE - first
    expected = image.text[first : first + 32]
    assert bytes(found["bytes_expected"]) == expected
    assert 0 <= start <= 32 - len(code)
    assert bytes(found["bytes_found"]) == (
        expected[:start] + code + expected[start + len(code) :]
    )


def test_a_bad_pointer(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    found = crash(booted, image, LOAD, NOWHERE)

    assert kinds(booted) == ["CRASH"]
    assert found["value"][:2].tolist() == [signal.SIGSEGV, NOWHERE]
    assert int(found["has_regs"]) == 1
    assert int(found["regs"]["ip"]) == image.function(FUNCTION).addr
    assert (int(found["regs"]["di"]), int(found["regs"]["si"])) == (NOWHERE, 2)
    check_bytes(found, image, LOAD)


def test_text_is_not_written_where_it_runs(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    address = image.function(FUNCTION).addr
    found = crash(booted, image, STORE, address)

    assert kinds(booted) == ["CRASH"]
    assert found["value"][:2].tolist() == [signal.SIGSEGV, address]


def test_data_does_not_run(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    data = booted.alloc(64)
    booted.view(data, "u8")[0] = 0xC3
    found = crash(booted, image, JUMP, data)

    assert found["value"][:2].tolist() == [signal.SIGSEGV, data]
    assert int(found["regs"]["ip"]) == data


def test_ud2(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    found = crash(booted, image, UD2)

    assert kinds(booted) == ["CRASH"]
    assert int(found["value"][0]) == signal.SIGILL
    assert int(found["regs"]["ip"]) == image.function(FUNCTION).addr
    check_bytes(found, image, UD2)


def test_a_division_by_zero(machine: MakeMachine, image: Image) -> None:
    found = crash(machine(), image, DIVIDE)

    assert int(found["value"][0]) == signal.SIGFPE
    check_bytes(found, image, DIVIDE)


def test_a_jump_into_the_middle_of_nowhere(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    found = crash(booted, image, JUMP, NOWHERE)

    assert kinds(booted) == ["CRASH"]
    assert found["value"][:2].tolist() == [signal.SIGSEGV, NOWHERE]
    assert int(found["regs"]["ip"]) == NOWHERE
    assert int(found["bytes_addr"]) == 0, "no text there"


def test_a_jump_to_an_address_that_cannot_be(machine: MakeMachine, image: Image) -> None:
    found = crash(machine(), image, JUMP, NOT_CANONICAL)

    assert int(found["value"][0]) == signal.SIGSEGV
    # The jump itself faults: no address that it could have gone to.
    assert int(found["regs"]["ip"]) == image.function(FUNCTION).addr
    check_bytes(found, image, JUMP)


@pytest.mark.parametrize("offset", [0, 1])
def test_a_breakpoint_that_nobody_owns(machine: MakeMachine, image: Image, offset: int) -> None:
    booted = machine()
    code = b"\x90" * offset + INT3
    found = crash(booted, image, code)
    address = image.function(FUNCTION).addr + offset

    assert kinds(booted) == ["UNKNOWN_TRAP"]
    assert found["value"][:2].tolist() == [address, 0xCC]
    assert int(found["regs"]["ip"]) == address + 1
    assert int(found["other"]["tsc"]) == 0, "no mechanism wrote it"
    check_bytes(found, image, code)


def test_a_breakpoint_left_by_somebody_names_who_wrote_it(
    machine: MakeMachine, image: Image
) -> None:
    booted = machine()
    address = image.function(FUNCTION).addr
    booted.call("write_text_byte", address, 0xCC)
    with pytest.raises(MachineFrozen):
        booted.text_call(address)
    found = booted.findings[0]

    assert kinds(booted) == ["UNKNOWN_TRAP"]
    assert 0 < int(found["other"]["tsc"]) < int(found["here"]["tsc"])


def test_a_step_that_nobody_asked_for(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    crash(booted, image, SINGLE_STEP)

    assert kinds(booted) == ["UNKNOWN_TRAP"]


@pytest.mark.parametrize("cpu", [0, 2])
def test_every_other_cpu_is_caught_where_it_was(
    machine: MakeMachine, image: Image, cpu: int
) -> None:
    booted = machine(cpus=4)
    for other in range(4):
        booted.spawn(other, "keep_moving")
    counters = booted.global_("moving")
    assert wait_until(lambda: bool((counters[:4, 0] > 0).all()))
    address = image.function(FUNCTION).addr
    booted.view(address, "u8", 2)[:] = np.frombuffer(UD2, np.uint8)
    calling = booted.alloc("struct calling")
    booted.view(calling, "struct calling")[0]["addr"] = address
    with suppress(MachineFrozen):  # It may be stopped before its start is confirmed.
        booted.spawn(cpu, "keep_calling", calling)

    assert booted.wait(20) is State.FROZEN
    assert int(booted.findings[0]["here"]["cpu"]) == cpu
    frozen = booted.record["cpu"]["frozen"][:4]
    assert frozen["valid"].tolist() == [1] * 4
    before = counters[:4, 0].copy()
    assert booted.wait(0.05) is State.FROZEN
    assert (counters[:4, 0] == before).all(), "they stand still"


def read(machine: Machine, image: Image) -> Finding:
    addresses = Addresses(Symbols.of(machine.core), text_spans(image))
    return next(from_machine(machine.record, facts(), Reading(addresses)))


def test_the_report_shows_registers_and_both_rows(machine: MakeMachine, image: Image) -> None:
    booted = machine()
    crash(booted, image, UD2)
    finding = read(booted, image)
    text = finding_text(finding)

    assert finding.kind is Kind.CRASH
    assert finding.title == f"crash: SIGILL in {FUNCTION}+0x0"
    assert finding.registers is not None
    assert finding.registers.ip == image.function(FUNCTION).addr
    assert finding.text is not None
    assert UD2.hex() in finding.text.found
    assert UD2.hex() not in finding.text.expected
    for name in ("expected", "found"):
        rows = [line.split(name)[1] for line in text.splitlines() if f"  {name} " in line]
        shown = "".join(rows).translate(str.maketrans("", "", " []"))
        assert getattr(finding.text, name) in shown
    assert f"{finding.registers.ip:x}" in text
