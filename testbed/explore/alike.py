"""How alike are two findings: the same kind, at the same two places?

A place is a function of a file: lines and addresses differ from machine to machine. What only one
of the two programs has, such as the tasks of a harness, is passed over: who called it counts. What
the real machine's watchdog calls a hang the explorer calls by its cause, so those kinds count as
one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.findings import Finding, Place, Side, is_plumbing, place_of
from testbed.kinds import Kind

# Somebody waits, or turns, for ever. The watchdog sees that it lasts; the explorer sees why.
WITHOUT_END = frozenset({
    Kind.HANG, Kind.DEADLOCK, Kind.STALL, Kind.NO_PROGRESS, Kind.LOST_WAKEUP, Kind.LIVELOCK,
})  # fmt: skip

# Both sides did the same to each other: which of them is told first is a matter of the schedule.
MUTUAL = frozenset({Kind.DATA_RACE, Kind.DEADLOCK})

NOT_KNOWN = "-"


@dataclass(frozen=True)
class Likeness:
    """How alike a finding is to the one that is looked for.

    Attributes:
        kind: both are of one kind, or of kinds that mean the same.
        here: the place of who met it is the same; None = it is not known of one of them.
        other: the same of the other side.
        kinds: of the one that is looked for, and of the other one.
    """

    kind: bool
    here: bool | None
    other: bool | None
    kinds: tuple[Kind, Kind]

    @property
    def is_like(self) -> bool:
        """The same bug, as far as both findings tell."""
        return self.kind and self.here is not False and self.other is not False

    @property
    def is_close(self) -> bool:
        """The same kind, and one of the two places; or another kind where this one was met."""
        return bool(self.here) or (self.kind and bool(self.other))

    def __str__(self) -> str:
        wanted, found = self.kinds
        kind = "same kind" if wanted is found else f"{found} for {wanted}"
        if not self.kind:
            kind = f"another kind: {kind}"
        return f"{kind}, {_told('here', self.here)}, {_told('other', self.other)}"


def _told(name: str, same: bool | None) -> str:
    return f"{name} not known" if same is None else f"{'same' if same else 'another'} {name}"


def likeness(
    wanted: Finding, found: Finding, has: Callable[[str], bool] = lambda _file: True
) -> Likeness:
    """Return how alike `found` is to `wanted`.

    Args:
        wanted: that is looked for.
        found: that was found.
        has: tells whether the program that was searched is made of a file.

    Who of the two met the other in a data race or a circle of waits is a matter of the schedule,
    so their sides may be exchanged. Of a wait without an end the other side is whoever happens to
    be waited for: it is not compared unless both findings are of one kind.
    """
    kinds = wanted.kind, found.kind
    same = wanted.kind is found.kind
    one, two = _places(wanted, has), _places(found, has)
    if not same and set(kinds) <= WITHOUT_END:
        return Likeness(True, _same(one[0], two[0]), None, kinds)
    sides = _same(one[0], two[0]), _same(one[1], two[1])
    if same and wanted.kind in MUTUAL and False in sides:
        exchanged = _same(one[0], two[1]), _same(one[1], two[0])
        sides = sides if False in exchanged else exchanged
    return Likeness(same, *sides, kinds)


def _places(finding: Finding, has: Callable[[str], bool]) -> tuple[str, str]:
    return _place(finding.here, has), _place(finding.other, has)


def _place(side: Side | None, has: Callable[[str], bool]) -> str:
    """Return a place as text; of a file that the other program lacks, what that had called."""
    place = place_of(side)
    if side is None or place is None:
        return NOT_KNOWN
    if not place.is_text() and not has(place.file):
        inner = side.stack[: side.stack.index(place)]
        place = next((one for one in reversed(inner) if _counts(one, has)), None)
        if place is None:
            return NOT_KNOWN
    return f"text@{place.file}" if place.is_text() else f"{place.function}@{place.file}"


def _counts(place: Place, has: Callable[[str], bool]) -> bool:
    return not is_plumbing(place) and has(place.file)


def _same(one: str, two: str) -> bool | None:
    return None if NOT_KNOWN in (one, two) else one == two
