"""Functions whose first bytes are what matters: what a jump of five bytes would cover.

Each body has its meaning, in plain Python, right below it.
"""

from iced_x86 import Code
from iced_x86.Register import CL, EAX, ECX, RAX, RBP, RCX, RDI, RDX, RSI, RSP

from testbed.text.assembler import Assembler, At, Constant, Immediate, memory
from testbed.text.definition import MASK, Definition, rotate_left
from testbed.text.model import NOP5

GOLDEN = 0x9E37_79B9_7F4A_7C15
SILVER = 0xD1B5_4A32_D192_ED03
BRONZE = 0x0123_4567_89AB_CDEF


def nop5(code: Assembler) -> None:
    """Start with a nop of five bytes, as a traced kernel function does."""
    code.raw(NOP5)
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.ADD_R64_RM64, RAX, RSI)
    code.put(Code.ROL_RM64_IMM8, RAX, Immediate(13))
    code.put(Code.RETNQ)


def nop5_model(a: int, b: int) -> int:
    """Return the sum, rotated by 13."""
    return rotate_left(a + b, 13)


def push_rbp(code: Assembler) -> None:
    """Start with a stack frame, as compiled C does."""
    code.put(Code.PUSH_R64, RBP)
    code.put(Code.MOV_R64_RM64, RBP, RSP)
    code.put(Code.PUSH_R64, RDI)
    code.put(Code.IMUL_R64_RM64_IMM8, RAX, RSI, Immediate(3))
    code.put(Code.ADD_R64_RM64, RAX, memory(RBP, -8))
    code.put(Code.LEAVEQ)
    code.put(Code.RETNQ)


def push_rbp_model(a: int, b: int) -> int:
    """Return a + 3 b."""
    return (a + 3 * b) & MASK


def endbr64(code: Assembler) -> None:
    """Start with the mark of an indirect branch's target."""
    code.put(Code.ENDBR64)
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.XOR_R64_RM64, RAX, RSI)
    code.put(Code.NOT_RM64, RAX)
    code.put(Code.RETNQ)


def endbr64_model(a: int, b: int) -> int:
    """Return the complement of the exclusive or."""
    return ~(a ^ b) & MASK


def rip_relative(code: Assembler) -> None:
    """Address data relative to the instruction: alone, before immediates, and without access."""
    code.put(Code.MOV_R64_RM64, RAX, At(Constant.of(GOLDEN)))
    code.put(Code.XOR_R64_RM64, RAX, RDI)
    # The displacement is not the last field of these.
    code.put(Code.IMUL_R64_RM64_IMM32, RDX, At(Constant.of(SILVER)), Immediate(0x10001))
    code.put(Code.ADD_R64_RM64, RAX, RDX)
    code.put(Code.CMP_RM64_IMM8, At(Constant.of(5)), Immediate(5))
    code.put(Code.SETE_RM8, CL)
    code.put(Code.MOVZX_R32_RM8, ECX, CL)
    code.put(Code.ADD_R64_RM64, RAX, RCX)
    code.put(Code.LEA_R64_M, RCX, At(Constant.of(BRONZE)))
    code.put(Code.ADD_R64_RM64, RAX, memory(RCX))
    code.put(Code.ADD_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def rip_relative_model(a: int, b: int) -> int:
    """Return a sum of the constants and the arguments."""
    return ((a ^ GOLDEN) + SILVER * 0x10001 + 1 + BRONZE + b) & MASK


def loop_head_in_window(code: Assembler) -> None:
    """Jump back to the third byte: never to be covered."""
    code.put(Code.XOR_R32_RM32, EAX, EAX)
    code.label("head")
    code.put(Code.LEA_R64_M, RAX, memory(RAX, 1, RDI))
    code.put(Code.SHR_RM64_1, RSI, Immediate(1))
    code.branch(Code.JNE_REL8_64, "head")
    code.put(Code.RETNQ)


def loop_head_in_window_model(a: int, b: int) -> int:
    """Return a + 1, once for each binary digit of b."""
    return (a + 1) * max(1, b.bit_length()) & MASK


def loop_head_after_window(code: Assembler) -> None:
    """Jump back to the sixth byte, the first one that a jump would not cover."""
    code.put(Code.MOV_R32_IMM32, EAX, Immediate(1))
    code.label("head")
    code.put(Code.IMUL_R64_RM64_IMM8, RAX, RAX, Immediate(31))
    code.put(Code.ADD_R64_RM64, RAX, RDI)
    code.put(Code.SHR_RM64_IMM8, RSI, Immediate(4))
    code.branch(Code.JNE_REL8_64, "head")
    code.put(Code.RETNQ)


def loop_head_after_window_model(a: int, b: int) -> int:
    """Return a polynomial in 31, one step for each hexadecimal digit of b."""
    value = 1
    for _ in f"{b:x}":
        value = value * 31 + a
    return value & MASK


def short_instructions(code: Assembler) -> None:
    """Start with instructions of one byte each, one of which hands a flag on."""
    code.put(Code.PUSH_R64, RDI)
    code.put(Code.POP_R64, RAX)
    code.put(Code.CWDE)
    code.put(Code.STC)
    code.put(Code.NOPD)
    code.put(Code.ADC_R64_RM64, RAX, RSI)
    code.put(Code.CDQ)
    code.put(Code.ADD_R64_RM64, RAX, RDX)
    code.put(Code.RETNQ)


def short_instructions_model(a: int, b: int) -> int:
    """Return b + 1 + the sign-extended low 16 bits of a, and 2^32 - 1 if that has bit 31."""
    low = a & 0xFFFF
    extended = low | 0xFFFF_0000 if low & 0x8000 else low
    total = extended + b + 1
    return (total + (0xFFFF_FFFF if total & 0x8000_0000 else 0)) & MASK


def long_instruction(code: Assembler) -> None:
    """Start with 4 bytes and then 10, so that 14 have to be copied."""
    code.raw(bytes.fromhex("0f1f4000"))
    code.put(Code.MOV_R64_IMM64, RAX, Immediate(BRONZE))
    code.put(Code.ADD_R64_RM64, RAX, RDI)
    code.put(Code.XOR_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def long_instruction_model(a: int, b: int) -> int:
    """Return a plus a constant, exclusive or b."""
    return ((BRONZE + a) & MASK) ^ b


def line_crossing(code: Assembler) -> None:
    """Start with an instruction that lies in two cache lines."""
    code.put(Code.IMUL_R64_RM64_IMM32, RAX, RDI, Immediate(0x01234567))
    code.put(Code.SUB_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def line_crossing_model(a: int, b: int) -> int:
    """Return a times a constant, less b."""
    return (a * 0x01234567 - b) & MASK


def four_bytes(code: Assembler) -> None:
    """Be too short for a jump."""
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.RETNQ)


def four_bytes_model(a: int, b: int) -> int:
    """Return a, whatever b."""
    return a + 0 * b


def five_bytes(code: Assembler) -> None:
    """Be exactly as long as a jump."""
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 0, RSI))
    code.put(Code.RETNQ)


def five_bytes_model(a: int, b: int) -> int:
    """Return the sum."""
    return (a + b) & MASK


ENTRY = (
    Definition("nop5", nop5, nop5_model),
    Definition("push_rbp", push_rbp, push_rbp_model),
    Definition("endbr64", endbr64, endbr64_model),
    Definition("rip_relative", rip_relative, rip_relative_model),
    Definition("loop_head_in_window", loop_head_in_window, loop_head_in_window_model),
    Definition("loop_head_after_window", loop_head_after_window, loop_head_after_window_model),
    Definition("short_instructions", short_instructions, short_instructions_model),
    Definition("long_instruction", long_instruction, long_instruction_model),
    Definition("line_crossing", line_crossing, line_crossing_model, line_offset=61),
    Definition("four_bytes", four_bytes, four_bytes_model),
    Definition("five_bytes", five_bytes, five_bytes_model),
)
