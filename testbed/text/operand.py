"""What an instruction touches: vector registers, and memory that others may see.

A machine that runs text one instruction at a time has to know before each of them. The packing is
that of ``OPERAND_*`` in ``shm_layout/text_map.h``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from iced_x86 import (
    Instruction,
    InstructionInfoFactory,
    MemorySizeExt,
    OpAccess,
    Register,
    RegisterExt,
    UsedMemory,
)

from testbed.text.model import InsnFlag

if TYPE_CHECKING:
    from iced_x86._iced_x86_py import Register as RegisterNumber

NONE, UNKNOWN = 31, 7
READ, WRITE = 0x8000, 0x10000
DISPLACEMENT_AT = 17
LARGEST_DISPLACEMENT = 2**14
X87 = range(0xD8, 0xE0)

READS = frozenset(
    (OpAccess.READ, OpAccess.COND_READ, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE)
)
WRITES = frozenset(
    (OpAccess.WRITE, OpAccess.COND_WRITE, OpAccess.READ_WRITE, OpAccess.READ_COND_WRITE)
)


def effects(instruction: Instruction, opcode: int) -> tuple[InsnFlag, int]:
    """Return the flags that an instruction has for what it touches, and its packed operand.

    Args:
        instruction: one that runs from a copy.
        opcode: its first byte behind prefixes.
    """
    info = _factory().info(instruction)
    flags = InsnFlag(0)
    if opcode in X87 or any(_is_vector(used.register) for used in info.used_registers()):
        flags |= InsnFlag.VECTOR
    operands = info.used_memory()
    if not operands:
        return flags, 0
    return flags | InsnFlag.MEMORY, _packed(operands)


@cache
def _factory() -> InstructionInfoFactory:
    return InstructionInfoFactory()


def _is_vector(register: RegisterNumber) -> bool:
    return (
        RegisterExt.is_vector_register(register)
        or RegisterExt.is_mm(register)
        or RegisterExt.is_st(register)
    )


def _packed(operands: list[UsedMemory]) -> int:
    """Return one operand as the text map has it."""
    operand = operands[0]
    size = MemorySizeExt.size(operand.memory_size)
    displacement = operand.displacement - 2**64 if operand.displacement >> 63 else (
        operand.displacement
    )
    base, index = _number(operand.base), _number(operand.index)
    fits = -LARGEST_DISPLACEMENT <= displacement < LARGEST_DISPLACEMENT
    known = len(operands) == 1 and fits and size in (1, 2, 4, 8, 16) and None not in (base, index)
    if not known or base is None or index is None:
        return UNKNOWN << 12
    access = (READ if operand.access in READS else 0) | (WRITE if operand.access in WRITES else 0)
    return (
        base | index << 5 | (operand.scale.bit_length() - 1) << 10
        | (size.bit_length() - 1) << 12 | access | displacement << DISPLACEMENT_AT
    )  # fmt: skip


def _number(register: RegisterNumber) -> int | None:
    """Return the number of a 64-bit register in the encoding; None: another kind of register."""
    if int(register) == int(Register.NONE):
        return NONE
    return register - Register.RAX if RegisterExt.is_gpr64(register) else None
