"""A finding or a run as plain text for a terminal or a log."""

import shlex
from collections import Counter
from collections.abc import Sequence

from testbed.findings import (
    Event,
    Finding,
    Side,
    Summary,
    TextBytes,
    Verdict,
    is_plumbing,
    place_of,
    verdict_of,
)
from testbed.kinds import WORDS, Kind
from testbed.report.story import outcomes_text, searched_text, story_text

EVENTS_PER_CPU = 12
BYTES_PER_LINE = 16
WAITING_KINDS = frozenset(
    {Kind.HANG, Kind.DEADLOCK, Kind.STALL, Kind.NO_PROGRESS, Kind.CPU_LOST}
)
REGISTER_ROWS = (
    ("ip", "sp", "flags"), ("ax", "bx", "cx", "dx"), ("si", "di", "bp", "orig_ax"),
    ("r8", "r9", "r10", "r11"), ("r12", "r13", "r14", "r15"),
)


def finding_text(finding: Finding, report: str = "") -> str:
    """Return all of a finding that helps to understand it, several dozen lines.

    Args:
        finding: what was found.
        report: how to name its report file to ``testbed replay``; without one, the command of the
            run is given instead.
    """
    parts = [
        [headline(finding)],
        _sides(finding),
        ["", *story_text(finding.story), ""] if finding.story is not None else [],
        _after(finding),
        [f"  again: {again(finding, report)}"],
    ]
    if finding.text is not None:
        parts.append(["", *bytes_text(finding.text)])
    if finding.registers is not None:
        parts.append(["", *_registers_text(finding)])
    if finding.waits and finding.kind in WAITING_KINDS:
        parts.append(["", "  who waits for whom", *_waits_text(finding)])
    if finding.cpus and finding.kind in WAITING_KINDS:
        parts.append(["", "  where each CPU stood", *_cpus_text(finding)])
    if finding.timeline:
        parts.append(["", *timeline_text(finding.timeline)])
    return "\n".join(line for part in parts for line in part) + "\n"


def headline(finding: Finding) -> str:
    """Return the one line that says what happened."""
    return f"{verdict_of(finding)}: {finding.harness}: {finding.sentence}"


def again(finding: Finding, report: str = "") -> str:
    """Return the command that does it again."""
    if report:
        return f"testbed replay {shlex.quote(report)}"
    return shlex.join(finding.command)


def summary_text(summary: Summary) -> str:
    """Return the counters and the verdict of a run."""
    lines = [f"  {name:<28} {_number(value):>18}" for name, value in summary.counters.items()]
    return "\n".join([*lines, *passing_text(summary), verdict_line(summary)]) + "\n"


def passing_text(summary: Summary) -> list[str]:
    """Return what a search says beside its findings: a run that passes, outcomes, completeness."""
    lines = outcomes_text(summary.outcomes)
    if summary.passing is not None:
        lines += ["", "a run that passes:", "", *story_text(summary.passing), ""]
    if summary.searched is not None:
        lines.append(f"  {searched_text(summary.searched)}")
    return lines


def verdict_line(summary: Summary) -> str:
    """Return the one line that says how a run ended."""
    if summary.verdict is Verdict.HELD:
        text = summary.claim.rstrip(".")
    elif summary.verdict is Verdict.UNKNOWN:
        text = summary.reason or "the run was cut short"
    else:
        text = "; ".join(finding.sentence for finding in summary.findings[:1])
        others = len(summary.findings) - 1
        text += f" (and {others} more)" if others > 0 else ""
    return f"{summary.verdict}: {summary.harness}: {text}"


def bytes_text(text: TextBytes, indent: str = "  ") -> list[str]:
    """Return expected and found bytes under each other, differing ones marked by ``^^``."""
    expected, found = bytes.fromhex(text.expected), bytes.fromhex(text.found)
    ip = text.ip - text.address
    lines = [f"{indent}text around {text.place}; the instruction pointer at [ ]"]
    for start in range(0, len(found), BYTES_PER_LINE):
        row = range(start, min(start + BYTES_PER_LINE, len(found)))
        differs = [expected[i] != found[i] for i in row]
        address = f"{text.address + start:#x}"
        lines.append(f"{indent}{address}  expected {_hex(expected, row, ip)}")
        lines.append(f"{indent}{'':{len(address)}}  found    {_hex(found, row, ip)}")
        if any(differs):
            marks = " ".join("^^" if differ else "  " for differ in differs)
            lines.append(f"{indent}{'':{len(address)}}            {marks}".rstrip())
    return lines


def _hex(data: bytes, row: range, marked: int) -> str:
    """Return bytes in hexadecimal with the marked one in brackets; columns stay aligned."""
    text = " " + " ".join(f"{data[i]:02x}" for i in row) + " "
    if marked in row:
        column = 3 * (marked - row.start)
        text = f"{text[:column]}[{text[column + 1 : column + 3]}]{text[column + 4 :]}"
    return text.rstrip()


def newest_events(timeline: Sequence[Event], per_cpu: int = EVENTS_PER_CPU) -> list[Event]:
    """Return the newest events of every CPU, oldest first."""
    kept: list[Event] = []
    seen: Counter[int] = Counter()
    for event in reversed(timeline):
        seen[event.cpu] += 1
        if seen[event.cpu] <= per_cpu:
            kept.append(event)
    return kept[::-1]


def timeline_text(timeline: Sequence[Event]) -> list[str]:
    """Return the newest events of every CPU as one table, oldest first."""
    kept = newest_events(timeline)
    width = max((len(event.task) for event in kept), default=4)
    lines = [f"  {'ns':>14}  {'CPU':>3}  {'task':<{width}}  event"]
    lines += [
        f"  {event.ns:>+14,}  {event.cpu:>3}  {event.task:<{width}}  {event.text}" for event in kept
    ]
    return lines


def _sides(finding: Finding) -> list[str]:
    words = WORDS[finding.kind]
    sides = [(words.other, finding.other), (words.here, finding.here)]
    shown = [(role, side) for role, side in sides if side is not None and side.cpu >= 0]
    width = max((len(role) for role, _ in shown), default=0)
    lines = []
    for role, side in shown:
        lines += _side_text(role, width, side)
    return lines


def _side_text(role: str, width: int, side: Side) -> list[str]:
    place = place_of(side)
    if place is None:
        return [f"  {role:<{width}}  CPU {side.cpu}  task {side.task_name}  (place not known)"]
    lines = [f"  {role:<{width}}  CPU {side.cpu}  {place.where()}  {place.name()}"]
    outer = side.stack[side.stack.index(place) + 1 :]
    callers = [frame for frame in outer if not is_plumbing(frame)]
    lines += [f"  {'':<{width}}         {frame.where()}  {frame.name()}" for frame in callers]
    if side.task_name:
        lines[0] += f"  task {side.task_name}"
    return lines


def _after(finding: Finding) -> list[str]:
    options = " ".join(f"{name}={value}" for name, value in finding.options.items())
    lines = [f"  found {finding.count} times, seed {finding.seed}" if finding.count > 1
             else f"  seed {finding.seed}"]
    if options:
        lines[0] += f", {options}"
    if finding.patches:
        lines.append(f"  with patches: {', '.join(finding.patches)}")
    lines.append(f"  signature {finding.signature}, core {finding.build_id}")
    return lines


def _registers_text(finding: Finding) -> list[str]:
    registers = finding.registers
    return [
        "  " + "  ".join(f"{name:>7} {getattr(registers, name):016x}" for name in row)
        for row in REGISTER_ROWS
    ]


def _waits_text(finding: Finding) -> list[str]:
    lines = []
    for wait in finding.waits:
        holders = f" -> {', '.join(wait.holders)}" if wait.holders else ""
        lines.append(
            f"  {wait.task} on CPU {wait.cpu}: {wait.kind} {wait.object}{holders}"
            + (f"  ({wait.since_ms} ms)" if finding.machine == "real" else "")
        )
    return lines


def _cpus_text(finding: Finding) -> list[str]:
    lines = []
    for state in finding.cpus:
        place = place_of(Side(cpu=state.cpu, stack=state.stack))
        if state.lost:
            where = "lost: its process ended or was stopped"
        elif state.idle:
            where = "idle"
        elif place is None:
            where = "did not answer"
        else:
            where = f"{place.where()}  {place.name()}  task {state.task}"
        lines.append(f"  CPU {state.cpu:<3} {where}")
    return lines


def _number(value: int | float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
