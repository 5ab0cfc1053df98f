"""Functions whose result changes when something disturbs their state: stack, flags, memory.

Each body has its meaning, in plain Python, right below it.
"""

from iced_x86 import Code, Instruction
from iced_x86.Register import (
    CL,
    EAX,
    ECX,
    EDX,
    R8,
    R9,
    R9D,
    RAX,
    RCX,
    RDI,
    RDX,
    RSI,
    RSP,
    XMM0,
    XMM1,
    XMM2,
    XMM9,
    XMM15,
)  # fmt: skip

from testbed.text.assembler import Assembler, At, Constant, Immediate, memory
from testbed.text.definition import MASK, Definition, rotate_left

RED_ZONE_WORDS = 16
VECTOR_CONSTANT = 0xC2B2_AE3D_27D4_EB4F
# CF, PF, AF, ZF, SF, OF: the flags that a comparison sets.
ARITHMETIC_FLAGS = 0x8D5


def red_zone(code: Assembler) -> None:
    """Keep a checksum in all 128 bytes below the stack pointer, as a leaf may."""
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    for word in range(1, RED_ZONE_WORDS + 1):
        code.put(Code.LEA_R64_M, RAX, memory(RAX, word, RSI))
        code.put(Code.MOV_RM64_R64, memory(RSP, -8 * word), RAX)
    # The word nearest to the stack pointer comes last: it is what a trap would overwrite first.
    for word in range(RED_ZONE_WORDS, 0, -1):
        code.put(Code.ROL_RM64_IMM8, RAX, Immediate(7))
        code.put(Code.XOR_R64_RM64, RAX, memory(RSP, -8 * word))
    code.put(Code.RETNQ)


def red_zone_model(a: int, b: int) -> int:
    """Return a checksum over sixteen words made from a and b."""
    words = [(a + word * b + word * (word + 1) // 2) & MASK for word in range(1, 17)]
    checksum = words[-1]
    for word in reversed(words):
        checksum = rotate_left(checksum, 7) ^ word
    return checksum


def string_copy(code: Assembler) -> None:
    """Fill and copy memory on the stack by repeated string instructions."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(0x58))
    code.put(Code.MOV_R64_RM64, R8, RDI)
    code.put(Code.MOV_R64_RM64, R9, RSI)
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.LEA_R64_M, RDI, memory(RSP))
    code.put(Code.MOV_R32_IMM32, ECX, Immediate(40))
    code.add(Instruction.create_rep_stosb(64))
    code.put(Code.MOV_RM64_R64, memory(RSP, 8), R9)
    code.put(Code.MOV_RM64_R64, memory(RSP, 19), R8)
    code.put(Code.LEA_R64_M, RDI, memory(RSP, 40))
    code.put(Code.MOV_R32_IMM32, EAX, Immediate(0))
    code.put(Code.MOV_RM64_R64, memory(RSP, 56), RAX)
    code.put(Code.LEA_R64_M, RSI, memory(RSP, 4))
    code.put(Code.AND_RM32_IMM8, R9D, Immediate(7))
    code.put(Code.LEA_R64_M, RCX, memory(R9, 16))
    code.add(Instruction.create_rep_movsb(64))
    code.put(Code.MOV_R64_RM64, RAX, memory(RSP, 40))
    code.put(Code.ADD_R64_RM64, RAX, memory(RSP, 48))
    code.put(Code.XOR_R64_RM64, RAX, memory(RSP, 56))
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(0x58))
    code.put(Code.RETNQ)


def string_copy_model(a: int, b: int) -> int:
    """Mix a and b, displaced by bytes, with copies of a's lowest byte."""
    source = bytearray([a & 0xFF] * 40)
    source[8:16] = b.to_bytes(8, "little")
    source[19:27] = a.to_bytes(8, "little")
    copied = bytes(source[4 : 4 + 16 + b % 8]).ljust(24, b"\0")
    first, second, third = (int.from_bytes(copied[n : n + 8], "little") for n in (0, 8, 16))
    return (first + second) & MASK ^ third


def push_flags(code: Assembler) -> None:
    """Save flags, look at them, change them, and use what was restored."""
    code.put(Code.CMP_R64_RM64, RDI, RSI)
    code.put(Code.PUSHFQ)
    code.put(Code.POP_R64, RDX)
    code.put(Code.AND_RM32_IMM32, EDX, Immediate(ARITHMETIC_FLAGS))
    code.put(Code.MOV_R64_RM64, RAX, RDX)
    code.put(Code.XOR_RM32_IMM8, EAX, Immediate(1))
    code.put(Code.PUSH_R64, RAX)
    code.put(Code.POPFQ)
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.ADC_R64_RM64, RAX, RSI)
    code.put(Code.XOR_R64_RM64, RAX, RDX)
    code.put(Code.RETNQ)


def push_flags_model(a: int, b: int) -> int:
    """Return a + b, plus 1 unless a < b, exclusive or the flags of comparing them."""
    difference = (a - b) & MASK
    flags = 0
    flags |= 0x001 if a < b else 0
    flags |= 0x004 if (difference & 0xFF).bit_count() % 2 == 0 else 0
    flags |= 0x010 if a % 16 < b % 16 else 0
    flags |= 0x040 if a == b else 0
    flags |= 0x080 if difference >= 2**63 else 0
    flags |= 0x800 if (a ^ b) & (a ^ difference) >= 2**63 else 0
    return (a + b + (0 if a < b else 1)) & MASK ^ flags


def locked(code: Assembler) -> None:
    """Use locked instructions on the stack."""
    code.put(Code.SUB_RM64_IMM8, RSP, Immediate(24))
    code.put(Code.MOV_RM64_R64, memory(RSP), RDI)
    code.locked(Code.ADD_RM64_R64, memory(RSP), RSI)
    code.put(Code.MOV_R32_IMM32, EAX, Immediate(3))
    code.locked(Code.XADD_RM64_R64, memory(RSP), RAX)
    code.put(Code.ADD_R64_RM64, RAX, memory(RSP))
    code.put(Code.ADD_RM64_IMM8, RSP, Immediate(24))
    code.put(Code.RETNQ)


def locked_model(a: int, b: int) -> int:
    """Return twice the sum, plus 3."""
    return (2 * (a + b) + 3) & MASK


def flags_chain(code: Assembler) -> None:
    """Hand the carry from each instruction to the next."""
    code.put(Code.MOV_R64_RM64, RAX, RDI)
    code.put(Code.ADD_R64_RM64, RAX, RSI)
    code.put(Code.ADC_R64_RM64, RSI, RDI)
    code.put(Code.SBB_R64_RM64, RDX, RDX)
    code.put(Code.RCL_RM64_1, RAX, Immediate(1))
    code.put(Code.SETB_RM8, CL)
    code.put(Code.MOVZX_R32_RM8, ECX, CL)
    code.put(Code.ADC_R64_RM64, RDX, RSI)
    code.put(Code.LEA_R64_M, RAX, memory(RAX, 0, RDX))
    code.put(Code.ADD_R64_RM64, RAX, RCX)
    code.put(Code.RETNQ)


def flags_chain_model(a: int, b: int) -> int:
    """Add with carries: of the sum, of the sum with its carry, and of the doubled sum."""
    sum_carry, total = divmod(a + b, 2**64)
    again_carry, again = divmod(b + a + sum_carry, 2**64)
    double_carry, double = divmod(2 * total + again_carry, 2**64)
    return (double + (again - again_carry + double_carry) + double_carry) & MASK


def vector(code: Assembler) -> None:
    """Keep everything in vector registers."""
    code.put(Code.MOVQ_XMM_RM64, XMM0, RDI)
    code.put(Code.MOVQ_XMM_RM64, XMM9, RSI)
    code.put(Code.XOR_R32_RM32, EAX, EAX)
    code.put(Code.MOVDQA_XMM_XMMM128, XMM2, XMM0)
    code.put(Code.PADDQ_XMM_XMMM128, XMM2, XMM9)
    code.put(Code.MOVQ_XMM_XMMM64, XMM15, At(Constant.of(VECTOR_CONSTANT)))
    code.put(Code.PXOR_XMM_XMMM128, XMM2, XMM0)
    code.put(Code.PUNPCKLQDQ_XMM_XMMM128, XMM9, XMM2)
    code.put(Code.MOVDQA_XMM_XMMM128, XMM1, XMM9)
    code.put(Code.PSRLDQ_XMM_IMM8, XMM1, Immediate(8))
    code.put(Code.PADDQ_XMM_XMMM128, XMM1, XMM15)
    code.put(Code.PSUBQ_XMM_XMMM128, XMM1, XMM9)
    code.put(Code.MOVQ_RM64_XMM, RAX, XMM1)
    code.put(Code.RETNQ)


def vector_model(a: int, b: int) -> int:
    """Return ((a + b) xor a) plus a constant, less b."""
    return (((a + b) & MASK ^ a) + VECTOR_CONSTANT - b) & MASK


def floating(code: Assembler) -> None:
    """Carry both numbers through the x87 stack, which holds 64 bits exactly."""
    code.put(Code.PUSH_R64, RDI)
    code.put(Code.PUSH_R64, RSI)
    code.put(Code.FILD_M64INT, memory(RSP, 8))
    code.put(Code.FILD_M64INT, memory(RSP))
    code.put(Code.FISTP_M64INT, memory(RSP, 8))
    code.put(Code.FISTP_M64INT, memory(RSP))
    code.put(Code.POP_R64, RAX)
    code.put(Code.POP_R64, RDX)
    code.put(Code.ROL_RM64_IMM8, RAX, Immediate(7))
    code.put(Code.SUB_R64_RM64, RAX, RDX)
    code.put(Code.RETNQ)


def floating_model(a: int, b: int) -> int:
    """Return a rotated by 7, less b."""
    return (rotate_left(a, 7) - b) & MASK


def store_word(code: Assembler) -> None:
    """Store to memory that others may see."""
    code.put(Code.MOV_RM64_R64, memory(RDI), RSI)
    code.put(Code.RETNQ)


def load_word(code: Assembler) -> None:
    """Load from memory that others may see."""
    code.put(Code.MOV_R64_RM64, RAX, memory(RDI))
    code.put(Code.RETNQ)


STATE = (
    Definition("red_zone", red_zone, red_zone_model),
    Definition("string_copy", string_copy, string_copy_model),
    Definition("push_flags", push_flags, push_flags_model),
    Definition("locked", locked, locked_model),
    Definition("flags_chain", flags_chain, flags_chain_model),
    Definition("vector", vector, vector_model),
    Definition("floating", floating, floating_model),
    # Their arguments are addresses.
    Definition("store_word", store_word, None),
    Definition("load_word", load_word, None),
)
