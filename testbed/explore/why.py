"""Why two accesses are not ordered, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from testbed.findings import Side

if TYPE_CHECKING:
    from testbed.explore.story import Seen

RELEASES = ("unlock", "create", "exit", "signal")
ACQUIRES = ("lock", "join")


def why_not_ordered(
    events: Sequence[Seen], here: Side | None, other: Side | None
) -> Iterator[str]:
    """Yield what would have ordered the two sides of a finding, and is not there."""
    second = _marked(events, "here")
    first = _marked(events, "other")
    if first is None or second is None or here is None or other is None:
        return
    released = [one for one in _between(events, first, second) if one.cpu == first.cpu
                and _is(one, "release", RELEASES)]  # fmt: skip
    acquired = [one for one in _between(events, first, second) if one.cpu == second.cpu
                and _is(one, "acquire", ACQUIRES)]  # fmt: skip
    one, two = f"CPU {first.cpu}", f"CPU {second.cpu}"
    if not released and not acquired:
        yield (
            f"{one} releases nothing after its access and {two} acquires nothing before its own: "
            "no lock, no release and acquire, no full barrier, no start or end of a thread"
        )
    elif not released:
        yield f"{one} releases nothing after its access, though {two} acquires before its own"
    elif not acquired:
        yield f"{one} does release, {released[0].text}, but {two} acquires nothing before its own"
    else:
        yield (
            f"{one} releases, {released[0].text}, and {two} acquires, {acquired[-1].text}, but the "
            "one does not synchronize with the other"
        )
    source = _source_of(events, acquired[-1]) if acquired else None
    if source is not None and source.cpu == first.cpu and not _is(source, "release", RELEASES):
        yield f"what {two} acquires by, {acquired[-1].text}, is no release: {_told(source)}"


def flip_sentence(first: Seen, second: Seen) -> str:
    """Return what decides: the order of two events."""
    # Of a store that had not left its buffer, it is the way to memory that comes too late.
    verb = "reaches memory before" if second.kind == "store" else "comes before"
    return f"if B, {_told(second)}, {verb} A, {_told(first)}, the run passes"


def _told(event: Seen) -> str:
    place = event.place
    where = f" ({place.where().rsplit('/', 1)[-1]})" if place is not None and place.line else ""
    return f"CPU {event.cpu}: {event.text}{where}"


def _source_of(events: Sequence[Seen], load: Seen) -> Seen | None:
    """Return the store that a load read from, None if memory had the value before the run."""
    for event in reversed(events[: load.number]):
        if event.kind in ("drain", "rmw") and event.touches(load.address, load.size):
            return events[event.drained] if event.kind == "drain" else event
    return None


def _marked(events: Sequence[Seen], mark: str) -> Seen | None:
    return next((event for event in events if mark in event.marks), None)


def _between(events: Sequence[Seen], first: Seen, second: Seen) -> Sequence[Seen]:
    return events[first.number + 1 : second.number]


def _is(event: Seen, flag: str, kinds: Sequence[str]) -> bool:
    return event.kind in kinds or flag in event.flags
