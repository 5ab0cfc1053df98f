"""Functions whose way through themselves and others is what matters: jumps, loops, calls, returns.

Each body has its meaning, in plain Python, right below it.
"""

from iced_x86 import Code
from iced_x86.Register import DL, EAX, ECX, ESI, R10, R11, RAX, RBX, RCX, RDI, RDX, RSI, RSP

from testbed.text.assembler import Assembler, At, Immediate, Pointer, memory
from testbed.text.definition import MASK, Definition, rotate_left


def counted_loop(code: Assembler) -> None:
    """Run a loop of 1 to 16 turns, far from the entry."""
    code.put(Code.MOV_R64_RM64, RCX, RSI)
    code.put(Code.AND_RM32_IMM8, ECX, Immediate(15))
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 7))
    code.label("head")
    code.put(Code.ROL_RM64_IMM8, RAX, Immediate(5))
    code.put(Code.XOR_R64_RM64, RAX, RCX)
    code.put(Code.DEC_RM64, RCX)
    code.branch(Code.JNS_REL8_64, "head")
    code.put(Code.RETNQ)


def counted_loop_model(a: int, b: int) -> int:
    """Mix a with a countdown from b mod 16."""
    value = (a + 7) & MASK
    for turn in range(b % 16, -1, -1):
        value = rotate_left(value, 5) ^ turn
    return value


def loop_rcx(code: Assembler) -> None:
    """Use the instructions that count in rcx: jrcxz, loop, loopne, loope."""
    code.put(Code.MOV_R32_RM32, ECX, ESI)
    code.put(Code.AND_RM32_IMM8, ECX, Immediate(7))
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.branch(Code.JRCXZ_REL8_64, "counted")
    code.label("head")
    code.put(Code.LEA_R64_M, RAX, memory(RAX, 1, RAX, 2))
    code.branch(Code.LOOP_REL8_64_RCX, "head")
    code.label("counted")
    code.put(Code.MOV_R32_IMM32, ECX, Immediate(6))
    code.put(Code.MOV_R64_RM64, RDX, RDI)
    code.label("until_zero")
    code.put(Code.INC_RM64, RAX)
    code.put(Code.SHR_RM64_1, RDX, Immediate(1))
    code.branch(Code.LOOPNE_REL8_64_RCX, "until_zero")
    code.put(Code.MOV_R32_IMM32, ECX, Immediate(4))
    code.put(Code.MOV_R64_RM64, RDX, RSI)
    code.label("while_even")
    code.put(Code.ADD_RM64_IMM8, RAX, Immediate(3))
    code.put(Code.TEST_RM8_IMM8, DL, Immediate(1))
    code.put(Code.ROR_RM64_1, RDX, Immediate(1))  # leaves the zero flag as it is
    code.branch(Code.LOOPE_REL8_64_RCX, "while_even")
    code.put(Code.RETNQ)


def loop_rcx_model(a: int, b: int) -> int:
    """Return a as tripled by b mod 8 turns, and steps for digits of a and trailing zeros of b."""
    value = a
    for _ in range(b % 8):
        value = 3 * value + 1
    value += min(6, max(1, a.bit_length()))
    zeros = next((bit for bit in range(4) if b >> bit & 1), 3)
    return (value + 3 * (zeros + 1)) & MASK


def tail_call(code: Assembler) -> None:
    """Jump to another function instead of returning."""
    code.put(Code.LEA_R64_M, RDI, memory(RDI, 0, RSI, 4))
    code.branch(Code.JMP_REL32_64, "nop5")


def tail_call_model(a: int, b: int) -> int:
    """Return a + 5 b, rotated by 13."""
    return rotate_left(a + 5 * b, 13)


def call_direct(code: Assembler) -> None:
    """Call another function."""
    code.put(Code.PUSH_R64, RBX)
    code.put(Code.MOV_R64_RM64, RBX, RDI)
    code.put(Code.ADD_RM64_IMM8, RDI, Immediate(5))
    code.branch(Code.CALL_REL32_64, "push_rbp")
    code.put(Code.XOR_R64_RM64, RAX, RBX)
    code.put(Code.POP_R64, RBX)
    code.put(Code.RETNQ)


def call_direct_model(a: int, b: int) -> int:
    """Return a + 5 + 3 b, exclusive or a."""
    return (a + 5 + 3 * b) & MASK ^ a


def call_register(code: Assembler) -> None:
    """Call through registers, an old and a new one."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.LEA_R64_M, RAX, At("endbr64"))
    code.put(Code.CALL_RM64, RAX)
    code.put(Code.ADD_R64_RM64, RDI, RAX)
    code.put(Code.LEA_R64_M, R11, At("five_bytes"))
    code.put(Code.CALL_RM64, R11)
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.RETNQ)


def call_register_model(a: int, b: int) -> int:
    """Return the sum of both arguments and of their complemented exclusive or."""
    return (a + b + ~(a ^ b)) & MASK


def jump_register(code: Assembler) -> None:
    """Jump through registers, forward and back."""
    code.put(Code.LEA_R64_M, RCX, At("onward"))
    code.jump_register(Code.JMP_RM64, RCX, "onward")
    code.label("back")
    code.put(Code.IMUL_R64_RM64_IMM8, RAX, RAX, Immediate(5))
    code.put(Code.RETNQ)
    code.label("onward")
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.SUB_R64_RM64, RAX, RSI)
    code.put(Code.LEA_R64_M, R10, At("back"))
    code.jump_register(Code.JMP_RM64, R10, "back")


def jump_register_model(a: int, b: int) -> int:
    """Return five times the difference."""
    return 5 * (a - b) & MASK


def call_memory(code: Assembler) -> None:
    """Call and jump through memory, which a probe refuses."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.CALL_RM64, At(Pointer("five_bytes")))
    code.put(Code.MOV_R64_RM64, RDI, RAX)
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.JMP_RM64, At(Pointer("nop5")))


def call_memory_model(a: int, b: int) -> int:
    """Return a + 2 b, rotated by 13."""
    return rotate_left(a + 2 * b, 13)


def conditions(code: Assembler) -> None:
    """Take every conditional jump that the comparison of a and b asks for."""
    code.put(Code.XOR_R32_RM32, EAX, EAX)
    for number, jump in enumerate(CONDITIONAL_JUMPS):
        code.put(Code.CMP_R64_RM64, RDI, RSI)
        code.branch(jump, f"next{number}")
        code.put(Code.OR_EAX_IMM32, EAX, Immediate(1 << number))
        code.label(f"next{number}")
    code.put(Code.RETNQ)


def conditions_model(a: int, b: int) -> int:
    """Return a bit for each of the sixteen conditions that does not hold, in encoding order."""
    signed_a, signed_b = (n - 2**64 if n >> 63 else n for n in (a, b))
    difference = (a - b) & MASK
    even = [
        not -(2**63) <= signed_a - signed_b < 2**63,  # o
        a < b,  # b
        a == b,  # e
        a <= b,  # be
        difference >> 63 == 1,  # s
        (difference & 0xFF).bit_count() % 2 == 0,  # p
        signed_a < signed_b,  # l
        signed_a <= signed_b,  # le
    ]
    # The odd condition is the even one's opposite, so exactly one of a pair does not hold.
    return sum(1 << (2 * pair + holds) for pair, holds in enumerate(even))


def ret_imm(code: Assembler) -> None:
    """Pass arguments on the stack to a function that takes them off."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.PUSH_R64, RDI)
    code.put(Code.PUSH_R64, RSI)
    code.branch(Code.CALL_REL32_64, "ret_imm_callee")
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(8))
    code.put(Code.RETNQ)


def ret_imm_callee(code: Assembler) -> None:
    """Take two words off the caller's stack when returning."""
    code.put(Code.MOV_R64_RM64, RAX, memory(RSP, 16))
    code.put(Code.SUB_R64_RM64, RAX, memory(RSP, 8))
    code.put(Code.RETNQ_IMM16, Immediate(16))


def ret_imm_model(a: int, b: int) -> int:
    """Return the difference."""
    return (a - b) & MASK


# In the order of their encoding; short and long ones take turns.
CONDITIONAL_JUMPS = (
    Code.JO_REL8_64, Code.JNO_REL32_64, Code.JB_REL8_64, Code.JAE_REL32_64,
    Code.JE_REL8_64, Code.JNE_REL32_64, Code.JBE_REL8_64, Code.JA_REL32_64,
    Code.JS_REL8_64, Code.JNS_REL32_64, Code.JP_REL8_64, Code.JNP_REL32_64,
    Code.JL_REL8_64, Code.JGE_REL32_64, Code.JLE_REL8_64, Code.JG_REL32_64,
)  # fmt: skip

FLOW = (
    Definition("counted_loop", counted_loop, counted_loop_model),
    Definition("loop_rcx", loop_rcx, loop_rcx_model),
    Definition("tail_call", tail_call, tail_call_model, ("nop5",)),
    Definition("call_direct", call_direct, call_direct_model, ("push_rbp",)),
    Definition("call_register", call_register, call_register_model, ("endbr64", "five_bytes")),
    Definition("jump_register", jump_register, jump_register_model),
    Definition("call_memory", call_memory, call_memory_model, ("five_bytes", "nop5")),
    Definition("conditions", conditions, conditions_model),
    Definition("ret_imm", ret_imm, ret_imm_model, ("ret_imm_callee",)),
    Definition("ret_imm_callee", ret_imm_callee, None),
)
