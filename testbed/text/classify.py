"""How an instruction can be made to happen when a probe stands on it.

The rules are those of arch/x86/kernel/kprobes/core.c (v6.12): can_boost(), prepare_emulation() and
the check for instructions that mask a trap. Differences: repeated and locked instructions are not
boosted, two-byte opcodes are unless they are branches, and what user space may not run is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from iced_x86 import (
    Code,
    ConditionCode,
    EncodingKind,
    FlowControl,
    Instruction,
    OpCodeInfo,
    OpCodeTableKind,
    OpKind,
    Register,
)  # fmt: skip

from testbed.text.model import REFUSED_JUMP, InsnClass, InsnFlag
from testbed.text.operand import effects

if TYPE_CHECKING:
    from iced_x86._iced_x86_py import Code as CodeNumber

CS_PREFIX, OPERAND_PREFIX, ADDRESS_PREFIX = 0x2E, 0x66, 0x67
LEGACY_PREFIXES = frozenset(
    (CS_PREFIX, OPERAND_PREFIX, ADDRESS_PREFIX, 0x26, 0x36, 0x3E, 0x64, 0x65, 0xF0, 0xF2, 0xF3)
)
REX = range(0x40, 0x50)
REX_W = 0x08

EMULATED = {
    Code.CALL_REL32_64: InsnClass.CALL_REL,
    Code.JMP_REL8_64: InsnClass.JMP_REL,
    Code.JMP_REL32_64: InsnClass.JMP_REL,
    Code.LOOPNE_REL8_64_RCX: InsnClass.LOOP,
    Code.LOOPE_REL8_64_RCX: InsnClass.LOOP,
    Code.LOOP_REL8_64_RCX: InsnClass.LOOP,
    Code.JRCXZ_REL8_64: InsnClass.LOOP,
    Code.CALL_RM64: InsnClass.CALL_REG,
    Code.JMP_RM64: InsnClass.JMP_REG,
    Code.RETNQ: InsnClass.RET,
    Code.RETNQ_IMM16: InsnClass.RET,
    Code.PUSHFQ: InsnClass.PUSHF,
    Code.POPFQ: InsnClass.POPF,
}
# They would see or change the trap flag, or hold a trap back by one instruction.
TRAP_SENSITIVE = frozenset(
    (Code.PUSHFW, Code.POPFW, Code.LSS_R16_M1616, Code.LSS_R32_M1632, Code.LSS_R64_M1664)
)
MOVES_TO_SEGMENT = frozenset((Code.MOV_SREG_RM16, Code.MOV_SREG_R32M16, Code.MOV_SREG_R64M16))

BRANCHES = frozenset(
    (InsnClass.CALL_REL, InsnClass.JMP_REL, InsnClass.JCC, InsnClass.LOOP, InsnClass.CALL_REG)
)
X87 = range(0xD8, 0xE0)
GROUP5 = 0xFF
GROUP5_BOOSTABLE = (0, 1, 4)  # inc, dec, jmp

# A row of the text map: class, flags, condition, target.
Row = tuple[InsnClass, InsnFlag, int, int]


@dataclass(frozen=True)
class Kind:
    """What follows from the encoding alone, before prefixes and operands.

    Attributes:
        insn_class: how it happens elsewhere.
        boostable: a copy may have a jump behind it.
        nop: it does nothing.
        plain: prefixes beside, `insn_class` holds for every instruction of this encoding.
    """

    insn_class: InsnClass
    boostable: bool
    nop: bool
    plain: bool


@cache
def kind_of(code: CodeNumber) -> Kind:
    """Return what is known of all instructions of one encoding."""
    insn_class = _class_of(code)
    info = OpCodeInfo(code)
    return Kind(
        insn_class=insn_class,
        boostable=insn_class not in BRANCHES | {InsnClass.REFUSED} and _can_boost(code, info),
        nop=info.is_nop and not info.is_reserved_nop,
        plain=insn_class is InsnClass.STEP and code not in MOVES_TO_SEGMENT,
    )


def classify(instruction: Instruction, data: bytes, displacement_offset: int) -> Row:
    """Return what the text map says of an instruction, beside its length.

    Args:
        instruction: as decoded.
        data: its bytes.
        displacement_offset: where the displacement is in it, bytes; used when it is RIP-relative.
    """
    kind = kind_of(instruction.code)
    insn_class, condition, target = kind.insn_class, 0, 0
    flags = InsnFlag.NOP if kind.nop else InsnFlag(0)
    if kind.boostable and not _has_unboostable_prefix(instruction, data):
        flags |= InsnFlag.BOOSTABLE
    if not kind.plain:
        insn_class, condition, target = _operands(instruction, insn_class)
        if insn_class is not InsnClass.STEP and _is_16_bit(data):
            insn_class = InsnClass.REFUSED
    if instruction.is_ip_rel_memory_operand:
        flags |= InsnFlag.RIP_RELATIVE
        target = displacement_offset
        if ADDRESS_PREFIX in _prefixes(data):
            # The address wraps at 4 GiB: nothing there that a copy could be moved to reach.
            insn_class, condition = InsnClass.REFUSED, 0
    if insn_class is InsnClass.STEP:
        more, operand = effects(instruction, _opcode(data))
        flags |= more
        target = target if flags & InsnFlag.RIP_RELATIVE else operand
    if insn_class is InsnClass.REFUSED and condition != REFUSED_JUMP:
        flags &= ~InsnFlag.BOOSTABLE
    return insn_class, flags, condition, target


def _class_of(code: CodeNumber) -> InsnClass:
    if code in EMULATED:
        return EMULATED[code]
    instruction = Instruction()
    instruction.code = code
    if instruction.flow_control == FlowControl.NEXT:
        refused = instruction.is_privileged or code in TRAP_SENSITIVE
        return InsnClass.REFUSED if refused else InsnClass.STEP
    if instruction.condition_code != ConditionCode.NONE and instruction.is_jcc_short_or_near:
        return InsnClass.JCC
    return InsnClass.REFUSED


def _can_boost(code: CodeNumber, info: OpCodeInfo) -> bool:
    if info.encoding != EncodingKind.LEGACY or code == Code.ENDBR64:
        return False
    if info.table == OpCodeTableKind.NORMAL:
        # Some have a second byte that belongs to the opcode.
        first = info.op_code >> 8 * (info.op_code_len - 1)
        if first == GROUP5:
            return info.group_index in GROUP5_BOOSTABLE
        return first not in X87
    return info.table == OpCodeTableKind.T0F


def _operands(instruction: Instruction, insn_class: InsnClass) -> tuple[InsnClass, int, int]:
    """Return class, condition and target where operands decide."""
    match insn_class:
        case InsnClass.CALL_REL | InsnClass.JMP_REL:
            return insn_class, 0, _distance(instruction)
        case InsnClass.JCC:
            return insn_class, instruction.condition_code - ConditionCode.O, _distance(instruction)
        case InsnClass.LOOP:
            opcode = OpCodeInfo(instruction.code).op_code
            return insn_class, opcode & 3, _distance(instruction)
        case InsnClass.CALL_REG | InsnClass.JMP_REG:
            if instruction.op0_kind == OpKind.REGISTER:
                return insn_class, instruction.op0_register - Register.RAX, 0
            jumps = insn_class is InsnClass.JMP_REG
            return InsnClass.REFUSED, REFUSED_JUMP if jumps else 0, 0
        case InsnClass.RET:
            return insn_class, 0, instruction.immediate16 if instruction.op_count else 0
        case InsnClass.STEP if instruction.op0_register == Register.SS:
            return InsnClass.REFUSED, 0, 0
    return insn_class, 0, 0


def _distance(instruction: Instruction) -> int:
    return instruction.near_branch_target - instruction.next_ip


def _has_unboostable_prefix(instruction: Instruction, data: bytes) -> bool:
    if data[0] not in LEGACY_PREFIXES:
        return False
    if instruction.has_lock_prefix or instruction.has_rep_prefix or instruction.has_repne_prefix:
        return True
    return not {CS_PREFIX, ADDRESS_PREFIX}.isdisjoint(_prefixes(data))


def _prefixes(data: bytes) -> set[int]:
    found = set()
    for byte in data:
        if byte not in LEGACY_PREFIXES:
            break
        found.add(byte)
    return found


def _opcode(data: bytes) -> int:
    """Return the first byte behind all prefixes."""
    rest = data.lstrip(bytes(LEGACY_PREFIXES))
    return rest[1] if rest[0] in REX else rest[0]


def _is_16_bit(data: bytes) -> bool:
    """Tell whether CPUs may differ in what a branch with these bytes does."""
    prefixes = _prefixes(data)
    rest = data.lstrip(bytes(LEGACY_PREFIXES))
    wide = rest[0] in REX and rest[0] & REX_W
    return OPERAND_PREFIX in prefixes and not wide
