"""What each CPU did, drawn as SVG: a lane per CPU, time to the right, interrupts as arrows.

Distances grow with the logarithm of the time between neighbouring events, so that a race of a few
nanoseconds and a pause of milliseconds before it both stay visible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log1p

from markupsafe import Markup

from testbed.findings import Event, Finding, Side, place_of
from testbed.kinds import WORDS
from testbed.report.trace import interrupts

LANE_HEIGHT = 40
TOP = 44
LEFT = 26
RIGHT = 26
LABELS_WIDTH = 60
WIDTH = 1040
PIXELS_PER_EVENT = 5
TIME_LABELS = 8
LABEL_DISTANCE = 80

CATEGORY = {
    "irq": "irq", "nmi": "irq", "ipi-send": "irq", "call-send": "irq", "call-run": "irq",
    "stop-state": "irq", "poke": "text", "int3": "text", "singlestep": "text",
    "text-call": "text", "handler": "probe", "missed": "probe", "register": "probe",
    "unregister": "probe", "enable": "probe", "disable": "probe", "alloc": "memory",
    "free": "memory", "finding": "memory", "switch": "sched", "wake": "sched", "gp-start": "rcu",
    "gp-end": "rcu", "qs": "rcu", "user": "user",
}
LEGEND = (
    ("irq", "interrupts, cross calls"), ("text", "text, traps"), ("probe", "probes"),
    ("memory", "memory, findings"), ("sched", "scheduling"), ("rcu", "grace periods"),
    ("user", "the harness's own"),
)


@dataclass(frozen=True)
class Scale:
    """From time to place; in the order of time."""

    places: dict[int, float]

    @classmethod
    def of(cls, times: Sequence[int], width: float) -> "Scale":
        """Spread `times` over `width` pixels."""
        ordered = sorted(set(times))
        gaps = [later - earlier for earlier, later in pairwise(ordered)]
        typical = max(1, sorted(gaps)[len(gaps) // 2]) if gaps else 1
        places, reached = [0.0], 0.0
        for gap in gaps:
            reached += log1p(gap / typical)
            places.append(reached)
        stretch = width / reached if reached else 0.0
        return cls({
            time: LEFT + place * stretch for time, place in zip(ordered, places, strict=True)
        })

    def at(self, time: int) -> float:
        """Return the place of one of the times."""
        return self.places[time]

    def end(self) -> float:
        """Return the place of the last time."""
        return max(self.places.values())


def lanes_svg(finding: Finding) -> Markup:
    """Return the drawing, "" when there are no events; the names of the lanes do not scroll."""
    if not finding.timeline:
        return Markup("")
    moments = _moments(finding)
    times = [event.ns for event in finding.timeline] + [time for _, _, time, _ in moments]
    width = max(WIDTH, len(set(times)) * PIXELS_PER_EVENT + LEFT + RIGHT)
    scale = Scale.of(times, width - LEFT - RIGHT)
    cpus = sorted({event.cpu for event in finding.timeline} | {cpu for cpu, *_ in moments})
    row = {cpu: TOP + LANE_HEIGHT * number + LANE_HEIGHT // 2 for number, cpu in enumerate(cpus)}
    height = TOP + LANE_HEIGHT * len(cpus) + 30
    labels = [
        Markup('<text class="cpu" x="0" y="{}">CPU {}</text>').format(y + 4, cpu)
        for cpu, y in row.items()
    ]
    parts = [
        Markup('<svg class="names" width="{}" height="{}">').format(LABELS_WIDTH, height),
        *labels,
        Markup('</svg><div class="scroll">'),
        Markup('<svg width="{0}" height="{1}" role="img"'
               ' viewBox="0 0 {0} {1}" aria-label="events of each CPU">').format(width, height),
        ARROW_HEAD,
        *(_lane(y, width) for y in row.values()),
        *_time_labels(scale, height),
        *(_arrow(sent, taken, scale, row) for sent, taken in interrupts(finding.timeline)),
        *(_tick(event, scale, row) for event in finding.timeline),
        *(_moment(moment, number, scale, row, height) for number, moment in enumerate(moments)),
        Markup("</svg></div>"),
    ]
    return Markup("\n").join(parts)


ARROW_HEAD = Markup(
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    ' orient="auto"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)


def _moments(finding: Finding) -> list[tuple[int, str, int, str]]:
    """Return (cpu, class, time, label) of the sides that the timeline reaches back to."""
    words = WORDS[finding.kind]
    start = finding.timeline[0].ns
    moments = []
    sides = (("other", words.other, finding.other), ("here", words.here, finding.here))
    for name, role, side in sides:
        time = side_time(finding, side)
        if side is not None and time is not None and time >= start:
            place = place_of(side)
            label = f"{role} {place.name()}" if place else role
            moments.append((side.cpu, name, time, label))
    return moments


def side_time(finding: Finding, side: Side | None) -> int | None:
    """Return when a side happened, ns relative to the finding; None if not known."""
    if side is None or side.cpu < 0 or not side.tsc:
        return None
    return round((side.tsc - finding.here.tsc) / finding.cycles_per_ns) if finding.here.tsc else 0


def _lane(y: int, width: int) -> Markup:
    return Markup('<line class="lane" x1="0" x2="{0}" y1="{1}" y2="{1}"/>').format(width, y)


def _time_labels(scale: Scale, height: int) -> list[Markup]:
    labels = []
    times = list(scale.places)
    step = max(1, len(times) // TIME_LABELS)
    last = LEFT - LABEL_DISTANCE / 2
    for time in times[::-step][::-1]:
        x = scale.at(time)
        if x - last > LABEL_DISTANCE:
            labels.append(Markup(
                '<line class="gap" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
                '<text x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(x, TOP, height - 24, height - 8, time_text(time)))
            last = x
    return labels


def time_text(ns: int) -> str:
    """Return a time with a unit that fits its size."""
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if abs(ns) >= size:
            return f"{ns / size:+.4g} {unit}"
    return f"{ns:+d} ns" if ns else "0"


def _tick(event: Event, scale: Scale, row: dict[int, int]) -> Markup:
    x, y = scale.at(event.ns), row[event.cpu]
    return Markup(
        '<line class="tick {0}" x1="{1:.1f}" x2="{1:.1f}" y1="{2}" y2="{3}">'
        "<title>{4}  CPU {5}  {6}\n{7}</title></line>"
    ).format(
        CATEGORY.get(event.type, "user"), x, y - 9, y + 9, time_text(event.ns), event.cpu,
        event.task, event.text,
    )


def _arrow(sent: Event, taken: Event, scale: Scale, row: dict[int, int]) -> Markup:
    down = row[taken.cpu] > row[sent.cpu]
    return Markup(
        '<line class="arrow" x1="{:.1f}" y1="{}" x2="{:.1f}" y2="{}" marker-end="url(#head)"/>'
    ).format(
        scale.at(sent.ns), row[sent.cpu] + (9 if down else -9),
        scale.at(taken.ns), row[taken.cpu] + (-9 if down else 9),
    )


def _moment(
    moment: tuple[int, str, int, str], number: int, scale: Scale, row: dict[int, int], height: int
) -> Markup:
    cpu, name, time, label = moment
    x, y = scale.at(time), row[cpu]
    anchor = "end" if x > scale.end() / 2 else "start"
    return Markup(
        '<line class="moment {0}" x1="{1:.1f}" x2="{1:.1f}" y1="{2}" y2="{3}"/>'
        '<circle class="{0}" cx="{1:.1f}" cy="{4}" r="6"><title>{5}</title></circle>'
        '<text class="{0}" x="{1:.1f}" y="{6}" text-anchor="{7}">{5}</text>'
    ).format(name, x, TOP - 10, height - 24, y, label, 14 + 16 * number, anchor)
