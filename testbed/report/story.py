"""A run of the explorer as text: a column for each CPU, a row for each event, the source beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.findings import Searched, Step, Story

# A column is as wide as its longest text, within these bounds; with more CPUs there is one column.
NARROWEST, WIDEST = 16, 60
MOST_COLUMNS = 4
# A rate over less time than this says little, s.
SHORT_S = 0.2
SOURCE_WIDTH = 60
SIGNS = (("first", "A"), ("second", "B"), ("here", ">"), ("other", ">"), ("intervention", "*"))


def story_text(story: Story, indent: str = "  ") -> list[str]:
    """Return a story as lines: the events, then what they show, then the schedule."""
    lines = [*_table(story), *_remarks(story)]
    return [f"{indent}{line}".rstrip() for line in lines]


def sign_of(step: Step) -> str:
    """Return what stands before a row: A and B for the pair that decides, > for a side, *."""
    return next((sign for mark, sign in SIGNS if mark in step.marks), "")


def cell_text(step: Step) -> str:
    """Return what an event did, and in braces what its CPU's store buffer holds then."""
    if not step.buffer:
        return step.text
    names = (held.split(" = ")[0] for held in step.buffer)
    for held in (", ".join(step.buffer), ", ".join(names)):
        text = f"{step.text}  {{{held}}}"
        if len(text) <= WIDEST:
            return text
    return f"{step.text}  {{stores: {len(step.buffer)}}}"


def _table(story: Story) -> Iterator[str]:
    columns = [lane.cpu for lane in story.lanes]
    heads = {lane.cpu: f"CPU {lane.cpu} {lane.name}".rstrip() for lane in story.lanes}
    one_column = len(columns) > MOST_COLUMNS
    if one_column:
        widths = {-1: max((len(_prefixed(step)) for step in story.steps), default=0)}
    else:
        widths = {
            cpu: min(WIDEST, max(NARROWEST, len(heads[cpu]), *(
                len(cell_text(step)) for step in story.steps if step.cpu == cpu
            ))) for cpu in columns
        }  # fmt: skip
        yield "     " + "  ".join(f"{heads[cpu]:<{widths[cpu]}}" for cpu in columns)
    place_width = max((len(where_of(step)) for step in story.steps), default=0)
    for step in story.steps:
        if step.cpu < 0:
            yield f"     ... {step.text} ..."
            continue
        cell = _prefixed(step) if one_column else cell_text(step)
        key = -1 if one_column else step.cpu
        cells = [f"{cell if column == key else '':<{widths[column]}}" for column in widths]
        source = step.source if step.kind != "drain" else ""
        shown = source if len(source) <= SOURCE_WIDTH else f"{source[: SOURCE_WIDTH - 3]}..."
        where = where_of(step) if step.kind != "drain" else ""
        yield f"{sign_of(step):>3}  {'  '.join(cells)}  {where:<{place_width}}  {shown}"
        if step.note:
            column = list(widths).index(key)
            left = 5 + sum(widths[one] + 2 for one in list(widths)[:column])
            yield f"{'':{left}}  ({step.note})"


def _prefixed(step: Step) -> str:
    return f"CPU {step.cpu}  {cell_text(step)}"


def where_of(step: Step) -> str:
    """Return the place of an event, as short as it is clear."""
    if step.place is None or not step.place.line:
        return ""
    return f"{step.place.file.rsplit('/', 1)[-1]}:{step.place.line}"


def _remarks(story: Story) -> Iterator[str]:
    yield ""
    legend = []
    if any(step.buffer for step in story.steps):
        legend.append("{x = 1}: in the store buffer, only its own CPU sees it")
    if any("intervention" in step.marks for step in story.steps):
        legend.append("*: not what would come by default")
    if legend:
        yield "; ".join(legend)
    if story.left_out:
        yield f"left out: {story.left_out} events that no other CPU could notice, or far from here"
    for label, sentences in (("in a buffer at the end", story.buffers), ("why", story.why)):
        for sentence in sentences:
            yield f"{label}: {sentence}"
    yield ""
    yield schedule_line(story)
    for sentence in story.interventions if len(story.interventions) <= 8 else ():
        yield f"  {sentence}"
    if story.passing:
        yield f"nearest schedule that passes: {story.passing}"


def schedule_line(story: Story) -> str:
    """Return the schedule, and how it was found."""
    count = len(story.interventions)
    plural = "intervention" if count == 1 else "interventions"
    line = f"schedule {story.schedule}  ({count} {plural}"
    if story.found_with > count:
        line += f", found with {story.found_with}"
    if story.replays:
        line += f", {story.replays:,} replays to make it small"
    return f"{line})"


def searched_text(searched: Searched) -> str:
    """Return how much of all schedules was searched, as a line."""
    complete = "complete" if searched.complete else "not complete"
    parts = [f"{complete}: {searched.ended}", f"strategy {searched.strategy}"]
    parts += searched.bounds
    if searched.executions_per_s and searched.seconds >= SHORT_S:
        parts.append(f"{searched.executions_per_s:,.0f} executions/s on one core")
    if searched.collision_bound:
        parts.append(
            f"two states taken for one with a probability of at most {searched.collision_bound:.1g}"
        )
    return "; ".join(parts)


def outcomes_text(outcomes: Sequence[tuple[int, int]]) -> list[str]:
    """Return the different outcomes and how many runs had them."""
    return [f"  outcome {value:#x}: {count:,} runs" for value, count in outcomes]
