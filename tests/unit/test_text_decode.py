"""What the text map says of instructions, and that it never says what is not so."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.text.decode import decode
from testbed.text.image import build_image
from testbed.text.model import (
    REFUSED_JUMP,
    TEXT_BASE,
    FunctionFlag,
    InsnClass,
    InsnFlag,
    Range,
    TextFunction,
)
from testbed.text.operand import READ, UNKNOWN, WRITE

IMAGE = build_image(library=None, imports={})

STEP, REFUSED = InsnClass.STEP, InsnClass.REFUSED
NONE, BOOST, RIP, NOP = InsnFlag(0), InsnFlag.BOOSTABLE, InsnFlag.RIP_RELATIVE, InsnFlag.NOP
# What the processor itself has to do, and what others may see; see testbed/text/operand.py.
TOUCHES = InsnFlag.VECTOR | InsnFlag.MEMORY
RSI, RDI, NO_REGISTER = 6, 7, 31

# Bytes, class, flags, condition, target.
ENCODINGS = [
    ("55", STEP, BOOST, 0, 0),  # push rbp
    ("4889e5", STEP, BOOST, 0, 0),  # mov rbp, rsp
    ("90", STEP, BOOST | NOP, 0, 0),
    ("6690", STEP, BOOST | NOP, 0, 0),
    ("0f1f440000", STEP, BOOST | NOP, 0, 0),
    ("660f1f440000", STEP, BOOST | NOP, 0, 0),
    ("2e660f1f840000000000", STEP, NOP, 0, 0),  # a CS prefix is not boosted
    ("f390", STEP, BOOST, 0, 0),  # pause: F3 is part of the opcode
    ("f30f1efa", STEP, NONE, 0, 0),  # endbr64
    ("488b0511223344", STEP, BOOST | RIP, 0, 3),  # mov rax, [rip+disp32]
    ("4869151122334401000100", STEP, BOOST | RIP, 0, 3),  # imul rdx, [rip+disp32], imm32
    ("48833d1122334405", STEP, BOOST | RIP, 0, 3),  # cmp qword [rip+disp32], imm8
    ("488d0d11223344", STEP, BOOST | RIP, 0, 3),  # lea rcx, [rip+disp32]
    ("67488b0511223344", REFUSED, RIP, 0, 4),  # mov rax, [eip+disp32]
    ("c5fb100511223344", STEP, RIP, 0, 4),  # vmovsd xmm0, [rip+disp32]
    ("c5f877", STEP, NONE, 0, 0),  # vzeroupper
    ("62f17c48100511223344", STEP, RIP, 0, 6),  # vmovups zmm0, [rip+disp32]
    ("660f38f600", STEP, NONE, 0, 0),  # adcx: a three-byte opcode
    ("f30f104500", STEP, BOOST, 0, 0),  # movss xmm0, [rbp]: F3 is part of the opcode
    ("d9e8", STEP, NONE, 0, 0),  # fld1
    ("48df6c2408", STEP, NONE, 0, 0),  # fild qword [rsp+8]
    ("f0480fc10424", STEP, NONE, 0, 0),  # lock xadd [rsp], rax
    ("f3aa", STEP, NONE, 0, 0),  # rep stosb
    ("f3a4", STEP, NONE, 0, 0),  # rep movsb
    ("f2ae", STEP, NONE, 0, 0),  # repne scasb
    ("aa", STEP, BOOST, 0, 0),  # stosb
    ("67488b00", STEP, NONE, 0, 0),  # mov rax, [eax]: address size
    ("64488b042528000000", STEP, BOOST, 0, 0),  # mov rax, fs:[0x28]
    ("48ffc0", STEP, BOOST, 0, 0),  # inc rax
    ("ffc8", STEP, BOOST, 0, 0),  # dec eax
    ("ff30", STEP, NONE, 0, 0),  # push [rax]
    ("c8100000", STEP, BOOST, 0, 0),  # enter
    ("8ee0", STEP, BOOST, 0, 0),  # mov fs, eax
    ("e811223344", InsnClass.CALL_REL, NONE, 0, 0x44332211),
    ("f2e811223344", InsnClass.CALL_REL, NONE, 0, 0x44332211),  # bnd call
    ("66e811223344", REFUSED, NONE, 0, 0x44332211),  # AMD and Intel differ
    ("6648e811223344", InsnClass.CALL_REL, NONE, 0, 0x44332211),  # as compilers pad for TLS
    ("e9fbffffff", InsnClass.JMP_REL, NONE, 0, -5),
    ("ebfe", InsnClass.JMP_REL, NONE, 0, -2),
    ("7f10", InsnClass.JCC, NONE, 15, 16),
    ("0f84f0ffffff", InsnClass.JCC, NONE, 4, -16),
    ("3e7510", InsnClass.JCC, NONE, 5, 16),  # with a hint
    ("e0fc", InsnClass.LOOP, NONE, 0, -4),
    ("e1fc", InsnClass.LOOP, NONE, 1, -4),
    ("e2fc", InsnClass.LOOP, NONE, 2, -4),
    ("e3fc", InsnClass.LOOP, NONE, 3, -4),
    ("67e2fc", REFUSED, NONE, 0, 0),  # counts in ecx
    ("67e3fc", REFUSED, NONE, 0, 0),  # jecxz
    ("ffd0", InsnClass.CALL_REG, NONE, 0, 0),
    ("41ffd3", InsnClass.CALL_REG, NONE, 11, 0),
    ("ffe1", InsnClass.JMP_REG, BOOST, 1, 0),
    ("3effe0", InsnClass.JMP_REG, BOOST, 0, 0),  # notrack
    ("41ffe7", InsnClass.JMP_REG, BOOST, 15, 0),
    ("66ffe0", REFUSED, NONE, 0, 0),
    ("ff10", REFUSED, NONE, 0, 0),  # call [rax]
    ("ff1511223344", REFUSED, RIP, 0, 2),  # call [rip+disp32]
    ("ff20", REFUSED, BOOST, REFUSED_JUMP, 0),  # jmp [rax]
    ("ff2511223344", REFUSED, BOOST | RIP, REFUSED_JUMP, 2),  # jmp [rip+disp32]
    ("ff18", REFUSED, NONE, 0, 0),  # far call
    ("48ff28", REFUSED, NONE, 0, 0),  # far jmp
    ("c3", InsnClass.RET, BOOST, 0, 0),
    ("f3c3", InsnClass.RET, NONE, 0, 0),  # rep ret
    ("c21000", InsnClass.RET, BOOST, 0, 16),
    ("c20080", InsnClass.RET, BOOST, 0, 0x8000),
    ("66c3", REFUSED, NONE, 0, 0),
    ("cb", REFUSED, NONE, 0, 0),  # far ret
    ("48cf", REFUSED, NONE, 0, 0),  # iretq
    ("9c", InsnClass.PUSHF, BOOST, 0, 0),
    ("9d", InsnClass.POPF, BOOST, 0, 0),
    ("669c", REFUSED, NONE, 0, 0),
    ("669d", REFUSED, NONE, 0, 0),
    ("cc", REFUSED, NONE, 0, 0),  # int3
    ("f1", REFUSED, NONE, 0, 0),  # int1
    ("cd80", REFUSED, NONE, 0, 0),  # int 0x80
    ("0f0b", REFUSED, NONE, 0, 0),  # ud2
    ("0f05", REFUSED, NONE, 0, 0),  # syscall
    ("0f34", REFUSED, NONE, 0, 0),  # sysenter
    ("f4", REFUSED, NONE, 0, 0),  # hlt
    ("fa", REFUSED, NONE, 0, 0),  # cli
    ("fb", REFUSED, NONE, 0, 0),  # sti
    ("e410", REFUSED, NONE, 0, 0),  # in
    ("6e", REFUSED, NONE, 0, 0),  # outsb
    ("0f22c0", REFUSED, NONE, 0, 0),  # mov cr0, rax
    ("8ed0", REFUSED, NONE, 0, 0),  # mov ss, eax: holds a trap back
    ("0fb200", REFUSED, NONE, 0, 0),  # lss
    ("c7f811223344", REFUSED, NONE, 0, 0),  # xbegin
]


@pytest.mark.parametrize(("code", "insn_class", "flags", "condition", "target"), ENCODINGS)
def test_an_encoding_is_classified(
    code: str, insn_class: InsnClass, flags: InsnFlag, condition: int, target: int
) -> None:
    data = bytes.fromhex(code)
    # A gap, not a function: what does not end in a function is not last in one.
    row = decode(data, [Range(0, len(data))], []).text_map[0]
    assert row["length"] == len(data)
    assert InsnClass(row["class"]) is insn_class
    assert InsnFlag(row["flags"]) & ~TOUCHES == flags
    assert row["condition"] == condition
    if flags & RIP or (insn_class is not REFUSED and not row["flags"] & InsnFlag.MEMORY):
        assert row["target"] == target


@pytest.mark.parametrize(("code", "touches", "operand"), [
    ("90", InsnFlag(0), None),
    ("488d443705", InsnFlag(0), None),  # lea
    ("0f1f440000", InsnFlag(0), None),  # a nop has an operand that it does not touch
    ("488937", InsnFlag.MEMORY, (RDI, NO_REGISTER, 0, 3, WRITE, 0)),
    ("488b07", InsnFlag.MEMORY, (RDI, NO_REGISTER, 0, 3, READ, 0)),
    ("8a44f7fb", InsnFlag.MEMORY, (RDI, RSI, 3, 0, READ, -5)),
    ("66010437", InsnFlag.MEMORY, (RDI, RSI, 0, 1, READ | WRITE, 0)),
    ("f30f7e07", InsnFlag.MEMORY | InsnFlag.VECTOR, (RDI, NO_REGISTER, 0, 3, READ, 0)),
    ("f3a4", InsnFlag.MEMORY, (0, 0, 0, UNKNOWN, 0, 0)),  # two of them
    ("67488b00", InsnFlag.MEMORY, (0, 0, 0, UNKNOWN, 0, 0)),  # by a register of 32 bits
    ("d9e8", InsnFlag.VECTOR, None),
])  # fmt: skip
def test_what_an_instruction_touches_is_told(
    code: str, touches: InsnFlag, operand: tuple[int, ...] | None
) -> None:
    data = bytes.fromhex(code)
    row = decode(data, [Range(0, len(data))], []).text_map[0]

    assert InsnFlag(row["flags"]) & TOUCHES == touches
    if operand is not None:
        target = int(row["target"])
        assert operand == (
            target & 31, target >> 5 & 31, target >> 10 & 3, target >> 12 & 7,
            target & (READ | WRITE), target >> 17,
        )  # fmt: skip


def test_boundaries_follow_each_other_through_every_function() -> None:
    for function in IMAGE.functions:
        start = function.addr - TEXT_BASE
        offset = 0
        for boundary in IMAGE.boundaries(function):
            assert boundary == offset, function.name
            offset += int(IMAGE.text_map["length"][start + boundary])
        assert offset == function.size
        flags = IMAGE.text_map["flags"][start : start + function.size]
        last = [int(n) for n in np.flatnonzero(flags & InsnFlag.LAST)]
        assert last == [IMAGE.boundaries(function)[-1]]


def test_nothing_outside_of_functions_is_a_boundary() -> None:
    covered = np.zeros(len(IMAGE.text), bool)
    for function in IMAGE.functions:
        start = function.addr - TEXT_BASE
        covered[start : start + function.size] = True
    assert not IMAGE.text_map["length"][~covered].any()
    assert not IMAGE.text_map["class"][IMAGE.text_map["length"] == 0].any()


def test_only_the_sites_are_patchable_and_they_are_nops() -> None:
    patchable = np.flatnonzero(IMAGE.text_map["flags"] & InsnFlag.PATCHABLE)
    assert (IMAGE.text_map["flags"][patchable] & InsnFlag.NOP).all()
    bytes_of_sites = {site.address + n for site in IMAGE.sites for n in range(5)}
    lengths = IMAGE.text_map["length"]
    assert bytes_of_sites == {
        TEXT_BASE + int(start) + n for start in patchable for n in range(int(lengths[start]))
    }


def test_each_class_and_condition_occurs_in_the_assembled_functions() -> None:
    rows = IMAGE.text_map[IMAGE.text_map["length"] > 0]
    assert set(rows["class"].tolist()) == set(InsnClass) - {InsnClass.NONE}
    jumps = rows[rows["class"] == InsnClass.JCC]
    assert set(jumps["condition"].tolist()) == set(range(16))
    steps = rows[rows["class"] == InsnClass.STEP]["flags"] & InsnFlag.BOOSTABLE
    assert 0 < np.count_nonzero(steps) < len(steps)


def function_of(*parts: str) -> tuple[bytes, TextFunction]:
    data = bytes.fromhex("".join(parts))
    return data, TextFunction("f", TEXT_BASE, len(data), FunctionFlag(0), 0)


def test_decoding_a_function_stops_where_it_is_not_instructions() -> None:
    data, function = function_of("55", "c3", "06", "90", "90")
    decoded = decode(data, [], [function])
    assert decoded.undecoded == (Range(2, 5),)
    assert decoded.text_map["length"].tolist() == [1, 1, 0, 0, 0]


def test_an_instruction_that_the_function_cuts_off_is_none() -> None:
    data, function = function_of("90", "48b81122")
    assert decode(data, [], [function]).undecoded == (Range(1, 5),)


def test_a_function_that_jumps_into_an_instruction_has_no_boundaries() -> None:
    data, function = function_of("eb01", "b811223344", "c3")
    decoded = decode(data, [], [function])
    assert decoded.undecoded == (Range(0, len(data)),)
    assert not decoded.text_map["length"].any()
    # The twin: the same jump to a boundary.
    data, function = function_of("eb05", "b811223344", "c3")
    decoded = decode(data, [], [function])
    assert decoded.undecoded == ()
    assert np.flatnonzero(decoded.text_map["length"]).tolist() == [0, 2, 7]


def test_gaps_between_functions_are_decoded_where_they_can_be() -> None:
    data = bytes.fromhex("90 c3 5d 5d 06 90 c3".replace(" ", ""))
    function = TextFunction("f", TEXT_BASE, 2, FunctionFlag(0), 0)
    decoded = decode(data, [Range(0, len(data))], [function])
    assert decoded.text_map["length"].tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert decoded.undecoded == ()


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.sampled_from(ENCODINGS), min_size=1, max_size=12))
def test_a_sweep_finds_exactly_the_instructions_that_were_put_there(
    pieces: list[tuple[str, InsnClass, InsnFlag, int, int]],
) -> None:
    codes = [bytes.fromhex(code) for code, *_ in pieces]
    data = b"".join(codes)
    starts = [0, *itertools.accumulate(len(code) for code in codes)][:-1]
    found = decode(data, [Range(0, len(data))], []).text_map
    assert np.flatnonzero(found["length"]).tolist() == starts
    assert found["class"][starts].tolist() == [row[1] for row in pieces]


@settings(max_examples=100, deadline=None)
@given(data=st.binary(min_size=1, max_size=64))
def test_arbitrary_bytes_never_give_overlapping_instructions(data: bytes) -> None:
    function = TextFunction("f", TEXT_BASE, len(data), FunctionFlag(0), 0)
    decoded = decode(data, [], [function])
    end = 0
    for start in np.flatnonzero(decoded.text_map["length"]):
        assert start == end
        end += int(decoded.text_map["length"][start])
    assert end == len(data) or decoded.undecoded
