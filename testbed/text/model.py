"""What text is made of: functions, patch sites, modules, segments, and the text map's rows.

The numbers are those of ``shm_layout/text_map.h``; a test compares them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np

TEXT_BASE = 0x1100_0000_0000
PAGE = 4096
CACHE_LINE = 64

INT3 = 0xCC
NOP2 = bytes.fromhex("6690")
NOP3 = bytes.fromhex("0f1f00")
NOP5 = bytes.fromhex("0f1f440000")

# A function of two 64-bit numbers, as plain Python: how an assembled one must behave.
Model = Callable[[int, int], int]

# One row per byte of text: struct text_insn.
INSN = np.dtype(
    [("length", "u1"), ("class", "u1"), ("flags", "u1"), ("condition", "u1"), ("target", "<i4")]
)


class InsnClass(IntEnum):
    """How a probed instruction can be made to happen elsewhere: enum insn_class."""

    NONE = 0
    STEP = 1
    CALL_REL = 2
    JMP_REL = 3
    JCC = 4
    LOOP = 5
    CALL_REG = 6
    JMP_REG = 7
    RET = 8
    PUSHF = 9
    POPF = 10
    REFUSED = 11


class InsnFlag(IntFlag):
    """Facts about one instruction: INSN_* in the layout."""

    BOOSTABLE = 0x01
    RIP_RELATIVE = 0x02
    LAST = 0x04
    NOP = 0x08
    PATCHABLE = 0x10
    VECTOR = 0x20
    MEMORY = 0x40


# The condition of a refused instruction that is a jump through memory.
REFUSED_JUMP = 1


class FunctionFlag(IntFlag):
    """Facts about one function: FUNCTION_* in the layout."""

    NOPROBE = 0x01
    ASSEMBLED = 0x02
    TRACED = 0x04


class Protection(IntFlag):
    """What a segment allows beside reading: SEGMENT_* in the layout."""

    WRITE = 0x2
    EXEC = 0x4


# Bytes of a name that fit into struct text_function and struct text_module.
NAME_SIZE = 47


@dataclass(frozen=True)
class TextFunction:
    """A symbol of text.

    Attributes:
        name: its symbol, or what is unique in an image and fits into `NAME_SIZE`.
        addr: address as it runs.
        size: bytes.
        flags: what is known of it.
        module: index into the image's modules.
        aliases: further symbols of the same code.
        expected: the value that it returns; None when it cannot be called with two numbers.
        once: offsets of the instructions that each call runs exactly once, whatever form the
            patch sites in it have; empty for functions of a library.
        callees: functions that each call enters exactly once, by name, unpatched.
    """

    name: str
    addr: int
    size: int
    flags: FunctionFlag
    module: int
    aliases: tuple[str, ...] = ()
    expected: Model | None = None
    once: tuple[int, ...] = ()
    callees: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alternative:
    """One thing that may stand at a patch site instead of the nop.

    Attributes:
        name: what it is, for messages.
        data: the five bytes.
        expected: what the function returns while they stand there.
        callees: functions entered exactly once per call in addition to those of the unpatched one.
    """

    name: str
    data: bytes
    expected: Model
    callees: tuple[str, ...] = ()


@dataclass(frozen=True)
class PatchSite:
    """Five bytes of nops that may become a jump or a call while others run them.

    Attributes:
        function: the function that it lies in, by name.
        address: where, as it runs.
        old_bytes: one nop, or several.
        alternatives: what else may stand there.
    """

    function: str
    address: int
    old_bytes: bytes
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class TextModule:
    """A part of text that is loaded and unloaded as a whole: struct text_module."""

    name: str
    start: int
    size: int


@dataclass(frozen=True)
class Segment:
    """A page-aligned run of the region with one protection: struct text_segment.

    Attributes:
        offset: bytes from TEXT_BASE.
        size: bytes, whole pages.
        protection: what it allows beside reading.
    """

    offset: int
    size: int
    protection: Protection


@dataclass(frozen=True)
class Range:
    """Bytes of the region, as offsets: start inclusive, end exclusive."""

    start: int
    end: int


def align(offset: int, to: int) -> int:
    """Return the first multiple of `to`, a power of two, that is not below `offset`."""
    return (offset + to - 1) & -to
