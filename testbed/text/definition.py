"""What an assembled function is written as: code, and its meaning in plain Python."""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.text.assembler import Assembler
from testbed.text.model import Model

MASK = 2**64 - 1


@dataclass(frozen=True)
class Patch:
    """What may replace a patchable nop.

    Attributes:
        name: what it is, for messages.
        target: the label or function that the jump or call goes to.
        expected: what the function returns then.
        call: True for a call, which enters `target`; False for a jump.
    """

    name: str
    target: str
    expected: Model
    call: bool = False


@dataclass(frozen=True)
class Definition:
    """A function to assemble.

    Attributes:
        name: its symbol.
        body: adds its instructions.
        expected: the value that it returns, written from its purpose and not from its code; None
            when it cannot be called with two numbers.
        callees: functions that each call enters exactly once.
        line_offset: where it starts in its cache line; None = the next multiple of 16.
        patches: by the label of the site, what may stand there.
        probeable: False keeps probes away.
        module: the name of the module that it is in; "" = the one that stays.
        traced: True if it begins with a nop of five bytes that tracers turn into calls.
    """

    name: str
    body: Callable[[Assembler], None]
    expected: Model | None
    callees: tuple[str, ...] = ()
    line_offset: int | None = None
    patches: tuple[tuple[str, tuple[Patch, ...]], ...] = ()
    probeable: bool = True
    module: str = ""
    traced: bool = False


def rotate_left(value: int, count: int) -> int:
    """Return 64 bits rotated."""
    value &= MASK
    return (value << count | value >> (64 - count)) & MASK
