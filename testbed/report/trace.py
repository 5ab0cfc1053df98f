"""A finding's timeline as Chrome trace-event JSON, which ui.perfetto.dev and others open.

Source: "Trace Event Format" (Google, 2016): instant events "i", flows "s" and "f", metadata "M".
"""

import json
from typing import Any

from testbed.findings import Event, Finding


def trace_events(finding: Finding) -> bytes:
    """Return the timeline with one track per CPU; its times are us from the first event."""
    start = min((event.ns for event in finding.timeline), default=0)
    rows: list[dict[str, Any]] = [
        {"ph": "M", "pid": 0, "tid": 0, "name": "process_name",
         "args": {"name": f"{finding.harness}: {finding.title}"}},
    ]
    rows += [
        {"ph": "M", "pid": 0, "tid": cpu, "name": "thread_name", "args": {"name": f"CPU {cpu}"}}
        for cpu in sorted({event.cpu for event in finding.timeline})
    ]
    rows += [_instant(event, start) for event in finding.timeline]
    for number, (sent, taken) in enumerate(interrupts(finding.timeline)):
        rows.append(_flow("s", number, sent, start))
        rows.append(_flow("f", number, taken, start) | {"bp": "e"})
    document = {
        "traceEvents": rows,
        "displayTimeUnit": "ns",
        "otherData": {"signature": finding.signature, "seed": finding.seed},
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def interrupts(timeline: tuple[Event, ...]) -> list[tuple[Event, Event]]:
    """Return each interrupt sent in `timeline` with the first one then taken by its target."""
    pairs = []
    for position, sent in enumerate(timeline):
        if sent.type == "ipi-send":
            later = (e for e in timeline[position + 1 :] if e.type == "irq" and e.cpu == sent.a)
            taken = next(later, None)
            if taken is not None:
                pairs.append((sent, taken))
    return pairs


def _instant(event: Event, start: int) -> dict[str, Any]:
    return {
        "ph": "i", "s": "t", "pid": 0, "tid": event.cpu, "ts": (event.ns - start) / 1000,
        "name": event.text, "cat": event.type,
        "args": {"task": event.task, "a": hex(event.a), "b": hex(event.b)},
    }


def _flow(phase: str, number: int, event: Event, start: int) -> dict[str, Any]:
    return {
        "ph": phase, "id": number, "pid": 0, "tid": event.cpu, "ts": (event.ns - start) / 1000,
        "name": "interrupt", "cat": "ipi",
    }
