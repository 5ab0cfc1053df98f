"""A finding or a run as one HTML page that needs nothing else: no script, no other file."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from testbed.findings import (
    Excerpt,
    Finding,
    Place,
    Side,
    Step,
    Story,
    Summary,
    TextBytes,
    Verdict,
    is_plumbing,
    place_of,
    verdict_of,
)
from testbed.kinds import WORDS
from testbed.paths import project_root
from testbed.report.lanes import LEGEND, lanes_svg, side_time, time_text
from testbed.report.story import searched_text, sign_of, where_of
from testbed.report.text import (
    BYTES_PER_LINE,
    REGISTER_ROWS,
    again,
    newest_events,
    verdict_line,
)

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class Frame:
    """A frame of a side; `excerpt` is rows of (number, line, is it the place)."""

    place: Place
    plumbing: bool
    excerpt: tuple[tuple[int, str, bool], ...]


@dataclass(frozen=True)
class SideCard:
    """What a side's card shows; `name` is "here" or "other"."""

    name: str
    role: str
    cpu: int
    task: str
    ago: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class StoryRow:
    """A row of a story's table; `classes` are those of its HTML element."""

    step: Step
    sign: str
    classes: str
    where: str
    source: str


@dataclass(frozen=True)
class ByteCell:
    """One byte of the text; `marks` are classes of the cell."""

    expected: str
    found: str
    marks: str


@dataclass(frozen=True)
class ByteRow:
    """Some bytes of the text, the first of them at `address`."""

    address: str
    cells: tuple[ByteCell, ...]


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(project_root() / "reports" / "templates"),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )


def finding_html(finding: Finding, report: str = "") -> str:
    """Return the page of a finding; `report` is how to name it to ``testbed replay``."""
    words = WORDS[finding.kind]
    sides = [("other", words.other, finding.other), ("here", words.here, finding.here)]
    return _templates().get_template("finding.html").render(
        finding=finding,
        verdict=str(verdict_of(finding)),
        again="\n".join(dict.fromkeys([again(finding, report), again(finding)])),
        sides=[
            side_card(finding, name, role, side)
            for name, role, side in sides if side is not None and side.cpu >= 0
        ],
        lanes=lanes_svg(finding),
        legend=LEGEND,
        story_rows=story_rows(finding.story),
        byte_rows=byte_rows(finding.text) if finding.text else [],
        registers=_registers(finding),
        cpus=[(state, place_of(Side(state.cpu, stack=state.stack))) for state in finding.cpus],
        newest=newest_events(finding.timeline),
    )


def summary_html(summary: Summary) -> str:
    """Return the page of a run, with links to the pages of its findings."""
    seconds = summary.duration_s
    line = verdict_line(summary).split(": ", 2)[2]
    return _templates().get_template("run.html").render(
        run=summary,
        searched=searched_text(summary.searched) if summary.searched else "",
        passing_rows=story_rows(summary.passing),
        line=summary.claim if summary.verdict is Verdict.HELD else line,
        again=shlex.join(summary.command),
        counters=[
            (name, f"{value:,}" if isinstance(value, int) else f"{value:,.3f}",
             f"{value / seconds:,.0f}" if seconds > 0 else "")
            for name, value in summary.counters.items()
        ],
    )


def side_card(finding: Finding, name: str, role: str, side: Side) -> SideCard:
    """Return what the card of one side shows."""
    time = side_time(finding, side)
    return SideCard(
        name=name,
        role=role,
        cpu=side.cpu,
        task=side.task_name,
        ago=f"at {time_text(time)}" if time else "",
        frames=tuple(
            Frame(place, is_plumbing(place), _excerpt_rows(place, finding.sources))
            for place in side.stack
        ),
    )


def story_rows(story: Story | None) -> list[StoryRow]:
    """Return what the rows of a story's table show."""
    return [
        StoryRow(
            step, sign_of(step), " ".join([step.kind, *step.marks]),
            where_of(step) if step.kind != "drain" else "",
            step.source if step.kind != "drain" else "",
        )
        for step in (story.steps if story is not None else ())
    ]  # fmt: skip


def _excerpt_rows(
    place: Place, sources: Sequence[Excerpt]
) -> tuple[tuple[int, str, bool], ...]:
    for excerpt in sources:
        if place.line and (excerpt.file, excerpt.marked) == (place.file, place.line):
            return tuple(
                (number, line, number == excerpt.marked)
                for number, line in enumerate(excerpt.lines, excerpt.first)
            )
    return ()


def byte_rows(text: TextBytes) -> list[ByteRow]:
    """Return expected and found bytes, those that differ and the one at `ip` marked."""
    expected, found = bytes.fromhex(text.expected), bytes.fromhex(text.found)
    rows = []
    for start in range(0, len(found), BYTES_PER_LINE):
        cells = []
        for position in range(start, min(start + BYTES_PER_LINE, len(found))):
            differs = "differs" if expected[position] != found[position] else ""
            ip = "ip" if text.address + position == text.ip else ""
            cells.append(ByteCell(
                f"{expected[position]:02x}", f"{found[position]:02x}", f"{differs} {ip}".strip()
            ))
        rows.append(ByteRow(f"{text.address + start:#x}", tuple(cells)))
    return rows


def _registers(finding: Finding) -> list[list[tuple[str, str]]]:
    if finding.registers is None:
        return []
    return [
        [(name, f"{getattr(finding.registers, name):016x}") for name in row]
        for row in REGISTER_ROWS
    ]
