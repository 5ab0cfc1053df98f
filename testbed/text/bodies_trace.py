"""Functions that begin with a nop of five bytes, for tracers, and what they call then.

``ftrace_caller`` is the text that every traced function may call; a tracer's own trampoline is a
copy of it. Each body has its meaning, in plain Python, right below it.
"""

from collections.abc import Callable, Iterator

from iced_x86 import Code
from iced_x86.Register import R8, R9, R10, R11, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP

from testbed.text.assembler import Assembler, At, Constant, Immediate, memory
from testbed.text.definition import MASK, Definition
from testbed.text.model import NOP5, Model

# What a call may change, and the frame pointer: struct ftrace_regs, from its end.
SAVED = (RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11, RBP)

# Two words of constants that nothing else shares: the first one is written at run time.
FUNCTION_TRACE_OP = Constant(b"trace_op")
JUMP_TARGET = Constant(b"jump_to_")


def ftrace_caller(code: Assembler) -> None:
    """Save registers, call a function with (ip, parent ip, op, registers), and go back."""
    for register in SAVED:
        code.put(Code.PUSH_R64, register)
    code.put(Code.MOV_R64_RM64, RDI, memory(RSP, 8 * len(SAVED)))
    code.put(Code.MOV_R64_RM64, RSI, memory(RSP, 8 * len(SAVED) + 8))
    code.put(Code.LEA_R64_M, RDI, memory(RDI, -len(NOP5)))
    code.put(Code.MOV_R64_RM64, RDX, At(FUNCTION_TRACE_OP))
    code.put(Code.MOV_R64_RM64, RCX, RSP)
    code.branch(Code.CALL_REL32_64, "ftrace_stub")
    for register in reversed(SAVED):
        code.put(Code.POP_R64, register)
    code.put(Code.RETNQ)


def ftrace_stub(code: Assembler) -> None:
    """Be called when nobody traces."""
    code.put(Code.RETNQ)


def ftrace_jump(code: Assembler) -> None:
    """Be the form of a jump to C, which is never run here but copied."""
    code.put(Code.JMP_RM64, At(JUMP_TARGET))


def rethook_trampoline(code: Assembler) -> None:
    """Be returned to instead of the caller: ask where that is, and go there with the result."""
    # The first word becomes the address; all of them keep the stack aligned.
    for register in (RAX, RAX, RDX, RCX):
        code.put(Code.PUSH_R64, register)
    code.put(Code.MOV_R64_RM64, RDI, RAX)
    code.branch(Code.CALL_REL32_64, "ftrace_stub")
    code.put(Code.MOV_RM64_R64, memory(RSP, 24), RAX)
    for register in (RCX, RDX, RAX):
        code.put(Code.POP_R64, register)
    code.put(Code.RETNQ)


def traced_sum(code: Assembler) -> None:
    """Add."""
    code.raw(NOP5)
    code.put(Code.LEA_R64_M, RAX, memory(RDI, 3, RSI))
    code.put(Code.RETNQ)


def traced_sum_model(a: int, b: int) -> int:
    """Return the sum and 3."""
    return (a + b + 3) & MASK


def traced_mix(code: Assembler) -> None:
    """Multiply, and mix."""
    code.raw(NOP5)
    code.put(Code.IMUL_R64_RM64_IMM8, RAX, RDI, Immediate(11))
    code.put(Code.XOR_R64_RM64, RAX, RSI)
    code.put(Code.RETNQ)


def traced_mix_model(a: int, b: int) -> int:
    """Return 11 a, exclusive or b."""
    return 11 * a & MASK ^ b & MASK


def traced_nested(code: Assembler) -> None:
    """Call another traced function, and keep an argument meanwhile."""
    code.raw(NOP5)
    code.put(Code.PUSH_R64, RBX)
    code.put(Code.MOV_R64_RM64, RBX, RSI)
    code.branch(Code.CALL_REL32_64, "traced_sum")
    code.put(Code.SUB_R64_RM64, RAX, RBX)
    code.put(Code.LEA_R64_M, RAX, memory(RAX, 0, RBX, 4))
    code.put(Code.POP_R64, RBX)
    code.put(Code.RETNQ)


def traced_nested_model(a: int, b: int) -> int:
    """Return the sum and 3, and three times b."""
    return (a + 4 * b + 3) & MASK


def family(count: int) -> Iterator[Definition]:
    """Return so many small functions that can be traced, ``traced_0000`` and so on."""
    for number in range(count):
        body, model = _member(number)
        yield Definition(f"traced_{number:04}", body, model, probeable=False, traced=True)


def _member(number: int) -> tuple[Callable[[Assembler], None], Model]:
    def body(code: Assembler) -> None:
        code.raw(NOP5)
        code.put(Code.LEA_R64_M, RAX, memory(RDI, number % 100 + 1, RSI))
        code.put(Code.RETNQ)

    def model(a: int, b: int) -> int:
        return (a + b + number % 100 + 1) & MASK

    return body, model


TRACE = (
    Definition("traced_sum", traced_sum, traced_sum_model, probeable=False, traced=True),
    Definition("traced_mix", traced_mix, traced_mix_model, probeable=False, traced=True),
    Definition("traced_nested", traced_nested, traced_nested_model, callees=("traced_sum",),
               probeable=False, traced=True),
    Definition("ftrace_caller", ftrace_caller, None, probeable=False),
    Definition("ftrace_stub", ftrace_stub, None, probeable=False),
    Definition("ftrace_jump", ftrace_jump, None, probeable=False),
    Definition("rethook_trampoline", rethook_trampoline, None, probeable=False),
)  # fmt: skip
