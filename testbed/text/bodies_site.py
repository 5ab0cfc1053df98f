"""Functions with a nop that may become a jump or a call while they run, and what those call.

Each body has its meaning, in plain Python, right below it, and one for each patched form.
"""

from iced_x86 import Code
from iced_x86.Register import RAX, RDI, RSI, RSP

from testbed.text.assembler import Assembler, Immediate, memory
from testbed.text.definition import MASK, Definition, Patch, rotate_left
from testbed.text.model import NOP2, NOP3


def site_jump_forward(code: Assembler) -> None:
    """Have a site inside of one cache line, to jump over an addition."""
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.site("site")
    code.put(Code.ADD_R64_RM64, RAX, RSI)
    code.label("skip")
    code.put(Code.LEA_R64_M, RAX, memory(RAX, 0, RAX, 2))
    code.put(Code.RETNQ)


def site_jump_forward_model(a: int, b: int) -> int:
    """Return three times the sum."""
    return 3 * (a + b) & MASK


def site_jump_forward_patched(a: int, b: int) -> int:
    """Return three times a, whatever b."""
    return (3 * a + 0 * b) & MASK


def site_jump_backward(code: Assembler) -> None:
    """Have a site across two cache lines, to jump back: the displacement ends in 0xff."""
    code.branch(Code.JMP_REL8_64, "start")
    code.label("other")
    code.put(Code.SUB_R64_RM64, RAX, RSI)
    code.put(Code.ROL_RM64_IMM8, RAX, Immediate(9))
    code.put(Code.RETNQ)
    code.label("start")
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.advance(62)
    code.site("site")
    code.put(Code.XOR_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def site_jump_backward_model(a: int, b: int) -> int:
    """Return the exclusive or."""
    return a ^ b


def site_jump_backward_patched(a: int, b: int) -> int:
    """Return the difference, rotated by 9."""
    return rotate_left(a - b, 9)


def site_pair(code: Assembler) -> None:
    """Have a site of two short nops, between which a task can be interrupted."""
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.site("site", NOP2, NOP3)
    code.put(Code.SUB_R64_RM64, RAX, RSI)
    code.label("skip")
    code.put(Code.NOT_RM64, RAX)
    code.put(Code.RETNQ)


def site_pair_model(a: int, b: int) -> int:
    """Return the complement of the difference."""
    return ~(a - b) & MASK


def site_pair_patched(a: int, b: int) -> int:
    """Return the complement of a, whatever b."""
    return ~(a + 0 * b) & MASK


def site_call(code: Assembler) -> None:
    """Have a site whose first byte ends a cache line, to call one helper or another."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.advance(63)
    code.site("site")
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.INC_RM64, RAX)
    code.put(Code.RETNQ)


def site_call_model(a: int, b: int) -> int:
    """Return a + 1, whatever b."""
    return (a + 1 + 0 * b) & MASK


def site_call_sum(a: int, b: int) -> int:
    """Return a + b + 18."""
    return (a + b + 18) & MASK


def site_call_mix(a: int, b: int) -> int:
    """Return 7 a, exclusive or b, plus 1."""
    return ((7 * a & MASK ^ b) + 1) & MASK


def helper_sum(code: Assembler) -> None:
    """Be called from a site."""
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 17, RSI))
    code.put(Code.RETNQ)


def helper_sum_model(a: int, b: int) -> int:
    """Return a + b + 17."""
    return (a + b + 17) & MASK


def helper_mix(code: Assembler) -> None:
    """Be called from a site."""
    code.put(Code.IMUL_R64_RM64_IMM8, RAX, RDI, Immediate(7))
    code.put(Code.XOR_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def helper_mix_model(a: int, b: int) -> int:
    """Return 7 a, exclusive or b."""
    return 7 * a & MASK ^ b


FORWARD = (Patch("jump forward", "skip", site_jump_forward_patched),)
PAIR = (Patch("jump forward", "skip", site_pair_patched),)
BACKWARD = (Patch("jump backward", "other", site_jump_backward_patched),)
CALLS = (
    Patch("call helper_sum", "helper_sum", site_call_sum, call=True),
    Patch("call helper_mix", "helper_mix", site_call_mix, call=True),
)

SITE = (
    Definition("site_jump_forward", site_jump_forward, site_jump_forward_model,
               line_offset=0, patches=(("site", FORWARD),)),
    Definition("site_jump_backward", site_jump_backward, site_jump_backward_model,
               line_offset=0, patches=(("site", BACKWARD),)),
    Definition("site_pair", site_pair, site_pair_model,
               line_offset=0, patches=(("site", PAIR),)),
    Definition("site_call", site_call, site_call_model,
               line_offset=0, patches=(("site", CALLS),)),
    Definition("helper_sum", helper_sum, helper_sum_model),
    Definition("helper_mix", helper_mix, helper_mix_model),
)  # fmt: skip
