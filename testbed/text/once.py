"""Which instructions of a function does each call run exactly once?

Those that every way through it passes and no way passes twice. What patched sites do counts as
ways too, so the answer holds whatever form a site has, and while that changes.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from testbed.text.functions import Edge
from testbed.text.model import REFUSED_JUMP, TEXT_BASE, InsnClass, TextFunction

Ways = Mapping[int, tuple[int, ...]]

# A way out of the function.
EXIT = -1


def once_offsets(
    function: TextFunction, text_map: NDArray[np.void], edges: Iterable[Edge]
) -> tuple[int, ...]:
    """Return offsets, from the function's start, of what each call runs exactly once.

    Args:
        function: one whose jumps by register are all in `edges`, and that does not call itself.
        text_map: of the whole region.
        edges: ways that the text map does not tell.
    """
    ways = _ways(function, text_map, edges)
    return tuple(
        offset
        for offset in sorted(_reached(ways, 0))
        if offset != EXIT
        and EXIT not in _reached(ways, 0, avoiding=offset)
        and not any(offset in _reached(ways, onward) for onward in ways[offset])
    )


def _ways(function: TextFunction, text_map: NDArray[np.void], edges: Iterable[Edge]) -> Ways:
    start = function.addr - TEXT_BASE
    rows = text_map[start : start + function.size]
    ways = {
        int(offset): _onward(int(offset), rows[offset], function.size)
        for offset in np.flatnonzero(rows["length"])
    }
    for edge in edges:
        source = edge.source - function.addr
        if source in ways:
            ways[source] += (edge.target - function.addr,)
    return ways


def _onward(offset: int, row: np.void, size: int) -> tuple[int, ...]:
    following = offset + int(row["length"])
    target = following + int(row["target"])
    if not 0 <= target < size:
        target = EXIT
    match InsnClass(row["class"]):
        case InsnClass.JMP_REL:
            return (target,)
        case InsnClass.JCC | InsnClass.LOOP:
            return (following, target)
        case InsnClass.RET:
            return (EXIT,)
        case InsnClass.JMP_REG:
            return ()
        case InsnClass.REFUSED if row["condition"] == REFUSED_JUMP:
            return (EXIT,)
    return (following,)


def _reached(ways: Ways, start: int, avoiding: int | None = None) -> set[int]:
    reached: set[int] = set()
    waiting = [start]
    while waiting:
        offset = waiting.pop()
        if offset != avoiding and offset not in reached:
            reached.add(offset)
            waiting += ways.get(offset, ())
    return reached
