"""Decode text once into the text map, so that nothing else ever needs a decoder.

Functions are decoded from their start. Executable bytes that belong to no function are decoded
where they can be: they are not to be probed, but reports show them. Where a function's bytes
turn out not to be instructions, the rest of it has no boundaries, and that is recorded.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from iced_x86 import Decoder, Instruction
from numpy.typing import NDArray

from testbed.text.classify import BRANCHES, classify
from testbed.text.model import INSN, TEXT_BASE, InsnClass, InsnFlag, Range, TextFunction

BRANCH_CLASSES = np.array(sorted(BRANCHES - {InsnClass.CALL_REL, InsnClass.CALL_REG}), np.uint8)


@dataclass(frozen=True)
class Decoded:
    """What the bytes of a text region are.

    Attributes:
        text_map: shape ``[bytes of the region]``, dtype `INSN`: one row per byte, length 0 where
            no instruction starts.
        undecoded: parts of functions that are not instructions, or not those that run.
    """

    text_map: NDArray[np.void]
    undecoded: tuple[Range, ...]


def decode(text: bytes, executable: Sequence[Range], functions: Sequence[TextFunction]) -> Decoded:
    """Return the text map of a region.

    Args:
        text: the region.
        executable: where instructions may be, sorted and apart from each other.
        functions: sorted by address; they may lie within each other.
    """
    text_map = np.zeros(len(text), INSN)
    undecoded = []
    ranges = [_range(function) for function in functions]
    for one in ranges:
        end = _sweep(text, text_map, one)
        if end < one.end:
            undecoded.append(Range(end, one.end))
        elif _leaves_boundaries(text_map, one):
            # A jump into the middle of an instruction: what was swept is not what runs.
            text_map[one.start : one.end] = np.zeros((), INSN)
            undecoded.append(one)
        else:
            last = one.start + int(np.flatnonzero(text_map["length"][one.start : one.end])[-1])
            text_map["flags"][last] |= InsnFlag.LAST
    for gap in _gaps(executable, ranges):
        _sweep(text, text_map, gap)
    return Decoded(text_map, tuple(undecoded))


def _range(function: TextFunction) -> Range:
    start = function.addr - TEXT_BASE
    return Range(start, start + function.size)


def _sweep(text: bytes, text_map: NDArray[np.void], within: Range) -> int:
    """Decode from the start on; return where that ended: the range's end, or what is no code."""
    data = text[within.start : within.end]
    decoder = Decoder(64, data, ip=TEXT_BASE + within.start)
    instruction = Instruction()
    offsets, rows = [], []
    while decoder.can_decode:
        start = decoder.position
        decoder.decode_out(instruction)
        if instruction.is_invalid:
            break
        length = instruction.len
        displacement = 0
        if instruction.is_ip_rel_memory_operand:
            displacement = decoder.get_constant_offsets(instruction).displacement_offset
        found = classify(instruction, data[start : start + length], displacement)
        offsets.append(within.start + start)
        rows.append((length, *found))
    if rows:
        text_map[offsets] = np.array(rows, INSN)
        return offsets[-1] + rows[-1][0]
    return within.start


def _leaves_boundaries(text_map: NDArray[np.void], within: Range) -> bool:
    """Tell whether a direct jump within the range goes to where no instruction starts."""
    rows = text_map[within.start : within.end]
    jumps = np.flatnonzero(np.isin(rows["class"], BRANCH_CLASSES))
    targets = jumps + rows["length"][jumps] + rows["target"][jumps]
    inside = targets[(targets >= 0) & (targets < len(rows))]
    return bool((rows["length"][inside] == 0).any())


def _gaps(executable: Iterable[Range], functions: Iterable[Range]) -> list[Range]:
    """Return the parts of `executable` that no function covers; both are sorted."""
    gaps = []
    functions = list(functions)
    for part in executable:
        start = part.start
        for function in functions:
            if part.start <= function.start < part.end:
                if function.start > start:
                    gaps.append(Range(start, function.start))
                start = max(start, function.end)
        if start < part.end:
            gaps.append(Range(start, part.end))
    return gaps
