"""Assemble small functions, one instruction at a time, each in exactly the encoding asked for.

Nothing is relaxed or reordered: which bytes stand where is the point of these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iced_x86 import Encoder, Instruction, MemoryOperand
from iced_x86.Register import NONE, RIP

from testbed.text.model import CACHE_LINE, NOP5

if TYPE_CHECKING:
    from iced_x86._iced_x86_py import Code, Register

# Filler that runs: the recommended nops of 1 to 9 bytes. Source: Intel SDM volume 2, NOP.
FILLER = (
    "90", "6690", "0f1f00", "0f1f4000", "0f1f440000", "660f1f440000", "0f1f8000000000",
    "0f1f840000000000", "660f1f840000000000",
)  # fmt: skip


@dataclass(frozen=True)
class Immediate:
    """A number inside of the instruction; a plain one would be taken for a register."""

    value: int


@dataclass(frozen=True)
class Constant:
    """Read-only bytes that the code refers to."""

    data: bytes

    @classmethod
    def of(cls, number: int) -> Constant:
        """Return the constant that holds a number of 64 bits."""
        return cls(number.to_bytes(8, "little"))


@dataclass(frozen=True)
class Pointer:
    """A read-only word that holds the address of a function."""

    function: str


# What code refers to: a label of the same function, another function, or read-only data.
Reference = str | Constant | Pointer


@dataclass(frozen=True)
class At:
    """A RIP-relative memory operand."""

    reference: Reference


@dataclass(frozen=True)
class Piece:
    """The bytes of one instruction, or an instruction that needs an address first."""

    offset: int
    size: int
    data: bytes = b""
    instruction: Instruction | None = None
    reference: Reference = ""

    def encode(self, address: int, target: int) -> bytes:
        """Return the bytes for an instruction at `address` that refers to `target`."""
        if self.instruction is None:
            return self.data
        return _encode(_aimed(self.instruction, target), address)


def memory(
    base: Register, displacement: int = 0, index: Register = NONE, scale: int = 1
) -> MemoryOperand:
    """Return the operand ``[base + index * scale + displacement]``, displacement of one byte."""
    return MemoryOperand(base, index, scale, displacement, 1 if displacement else 0)


@dataclass
class Assembler:
    """Collects the instructions of one function.

    Attributes:
        line_offset: where the function starts in its cache line.
        size: bytes so far.
        labels: offsets of labels.
        pieces: the instructions.
        jumps: offset of each jump by register, and the labels where it may go.
        sites: offset and bytes of the patchable nops, by label.
    """

    line_offset: int
    size: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)
    jumps: dict[int, tuple[str, ...]] = field(default_factory=dict)
    sites: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def put(self, code: Code, *operands: Register | Immediate | MemoryOperand | At) -> None:
        """Add one instruction."""
        kinds, reference = "", None
        values: list[int | MemoryOperand] = []
        for operand in operands:
            match operand:
                case Immediate():
                    kinds += "i"
                    values.append(operand.value)
                case At():
                    kinds += "m"
                    reference = operand.reference
                    # The displacement is the target's address until it is encoded.
                    values.append(MemoryOperand(RIP, displ=0, displ_size=8))
                case _:
                    kinds += "m" if isinstance(operand, MemoryOperand) else "r"
                    values.append(operand)
        instruction = CREATE[kinds](code, *values)
        if reference is None:
            self.add(instruction)
        else:
            self._refer(instruction, reference)

    def add(self, instruction: Instruction) -> None:
        """Add an instruction that iced-x86 made."""
        self.raw(_encode(instruction, 0))

    def locked(self, code: Code, target: MemoryOperand, source: Register) -> None:
        """Add an instruction with a lock prefix."""
        instruction = Instruction.create_mem_reg(code, target, source)
        instruction.has_lock_prefix = True
        self.add(instruction)

    def raw(self, data: bytes) -> None:
        """Add the bytes of one instruction."""
        self.pieces.append(Piece(self.size, len(data), data))
        self.size += len(data)

    def branch(self, code: Code, target: str) -> None:
        """Add a direct jump or call to a label or another function."""
        self._refer(Instruction.create_branch(code, 0), target)

    def jump_register(self, code: Code, register: Register, *targets: str) -> None:
        """Add a jump by register that goes to one of these labels."""
        self.jumps[self.size] = targets
        self.put(code, register)

    def label(self, name: str) -> None:
        """Give the next instruction a name."""
        self.labels[name] = self.size

    def site(self, name: str, *nops: bytes) -> None:
        """Add nops of five bytes together that may be patched as one; by default a single one."""
        self.label(name)
        self.sites[name] = (self.size, b"".join(nops) or NOP5)
        for one in nops or (NOP5,):
            self.raw(one)

    def advance(self, line_offset: int) -> None:
        """Add nops until the next instruction starts there in its cache line."""
        missing = (line_offset - self.line_offset - self.size) % CACHE_LINE
        while missing:
            size = min(missing, len(FILLER))
            self.raw(bytes.fromhex(FILLER[size - 1]))
            missing -= size

    def _refer(self, instruction: Instruction, reference: Reference) -> None:
        size = len(_encode(_aimed(instruction, 0), 0))
        self.pieces.append(Piece(self.size, size, b"", instruction, reference))
        self.size += size


def _aimed(instruction: Instruction, target: int) -> Instruction:
    aimed = instruction.copy()
    if aimed.is_ip_rel_memory_operand:
        aimed.memory_displacement = target
    else:
        aimed.near_branch64 = target
    return aimed


def _encode(instruction: Instruction, address: int) -> bytes:
    # One at a time: a block would move targets that lie inside of it.
    encoder = Encoder(64)
    encoder.encode(instruction, address)
    return encoder.take_buffer()


# By operands: r = register, i = immediate, m = memory.
CREATE: dict[str, Callable[..., Instruction]] = {
    "": Instruction.create,
    "r": Instruction.create_reg,
    "i": Instruction.create_i32,
    "m": Instruction.create_mem,
    "rr": Instruction.create_reg_reg,
    "ri": Instruction.create_reg_i64,
    "rm": Instruction.create_reg_mem,
    "mr": Instruction.create_mem_reg,
    "mi": Instruction.create_mem_i32,
    "rri": Instruction.create_reg_reg_i32,
    "rmi": Instruction.create_reg_mem_i32,
}
