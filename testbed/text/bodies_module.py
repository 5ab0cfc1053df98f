"""Functions of a module of its own, which a scenario can unload while nobody runs them.

Each body has its meaning, in plain Python, right below it. They use no constants: the module is
code only.
"""

from iced_x86 import Code
from iced_x86.Register import RAX, RBP, RDI, RSI, RSP

from testbed.text.assembler import Assembler, Immediate, memory
from testbed.text.definition import MASK, Definition, rotate_left
from testbed.text.model import NOP5

# The module's name.
LOADABLE = "loadable"


def loadable_nop5(code: Assembler) -> None:
    """Start with a nop of five bytes."""
    code.raw(NOP5)
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 5, RSI))
    code.put(Code.ROL_RM64_IMM8, RAX, Immediate(7))
    code.put(Code.RETNQ)


def loadable_nop5_model(a: int, b: int) -> int:
    """Return the sum and 5, rotated by 7."""
    return rotate_left(a + b + 5, 7)


def loadable_frame(code: Assembler) -> None:
    """Start with a stack frame, and call the other function of the module."""
    code.put(Code.PUSH_R64, RBP)
    code.put(Code.MOV_R64_RM64, RBP, RSP)
    code.put(Code.PUSH_R64, RSI)
    code.branch(Code.CALL_REL32_64, "loadable_nop5")
    code.put(Code.XOR_R64_RM64, RAX, memory(RBP, -8))
    code.put(Code.LEAVEQ)
    code.put(Code.RETNQ)


def loadable_frame_model(a: int, b: int) -> int:
    """Return what the other one does, exclusive or b."""
    return loadable_nop5_model(a, b) ^ (b & MASK)


def loadable_traced(code: Assembler) -> None:
    """Begin with a nop for tracers."""
    code.raw(NOP5)
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 9, RSI))
    code.put(Code.RETNQ)


def loadable_traced_model(a: int, b: int) -> int:
    """Return the sum and 9."""
    return (a + b + 9) & MASK


MODULE = (
    Definition("loadable_nop5", loadable_nop5, loadable_nop5_model, module=LOADABLE),
    Definition("loadable_frame", loadable_frame, loadable_frame_model,
               callees=("loadable_nop5",), module=LOADABLE),
    Definition("loadable_traced", loadable_traced, loadable_traced_model,
               probeable=False, module=LOADABLE, traced=True),
)  # fmt: skip
