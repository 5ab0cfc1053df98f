"""What a run says while it lasts and when it ends, for a terminal, a pipe or a program."""

import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import click

from testbed.findings import Summary, Verdict
from testbed.report.text import finding_text, passing_text, verdict_line
from testbed.runs import RunFolder

PLAIN_INTERVAL_S = 2.0
EXIT = {Verdict.HELD: 0, Verdict.VIOLATED: 1, Verdict.UNKNOWN: 3}
COLORS = {Verdict.HELD: "green", Verdict.VIOLATED: "red", Verdict.UNKNOWN: "yellow"}


class ProgressLike(Protocol):
    """How far a run is; counters are those of its summary so far."""

    @property
    def elapsed_s(self) -> float:
        """Since the workers started."""

    @property
    def duration_s(self) -> float:
        """As asked for."""

    @property
    def counters(self) -> Mapping[str, int | float]:
        """By name, in the order in which to show them."""

    @property
    def findings(self) -> int:
        """How many were made."""


class PlainProgress:
    """A line each two seconds of the run, on `stderr` when stdout is for JSON."""

    def __init__(self, err: bool) -> None:
        self._err = err
        self._next_s: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def __call__(self, progress: ProgressLike) -> None:
        """Take note of progress; most of it is not worth a line."""
        now = time.monotonic()
        if self._next_s is None:
            # What was before, such as a build, is not the run.
            self._next_s = now + PLAIN_INTERVAL_S
        if now >= self._next_s:
            self._next_s = now + PLAIN_INTERVAL_S
            click.echo(progress_line(progress), err=self._err)


class LiveProgress:
    """A bar and a table of counters that stay in place on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def __call__(self, progress: ProgressLike) -> None:
        """Show progress."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=progress.duration_s, completed=progress.elapsed_s, width=40),
            Text(f"{progress.elapsed_s:.0f} of {progress.duration_s:.0f} s"),
            Text(f"{progress.findings} findings", style="bold red" if progress.findings else "dim"),
        )
        counters = Table.grid(padding=(0, 2))
        for name, value in progress.counters.items():
            counters.add_row(
                Text(name, style="dim"), Text(number(value), justify="right"),
                Text(rate(value, progress.elapsed_s), style="dim", justify="right"),
            )
        self._live.update(Group(bar, counters))


def progress_display(as_json: bool) -> PlainProgress | LiveProgress:
    """Return the display that fits where the output goes."""
    if sys.stdout.isatty() and not as_json:
        return LiveProgress()
    return PlainProgress(err=as_json)


def progress_line(progress: ProgressLike) -> str:
    """Return progress as one line, `name value` pairs separated by two spaces."""
    parts = [f"{progress.elapsed_s:.1f} s"]
    parts += [f"{name} {number(value)}" for name, value in progress.counters.items()]
    parts.append(f"findings {progress.findings}")
    return "  ".join(parts)


def number(value: int | float) -> str:
    """Return a counter with thousands separated."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"


def rate(value: int | float, elapsed_s: float) -> str:
    """Return how many a second that was, "" if that says nothing: a fraction counts nothing."""
    counted = isinstance(value, int) and value and elapsed_s > 0
    return f"{value / elapsed_s:,.0f}/s" if counted else ""


def announce(summary: Summary, folder: RunFolder, as_json: bool) -> int:
    """Say how a run ended, and return the exit status.

    With `as_json` only the summary goes to stdout. What could not be written is said last, on
    stderr, after the verdict.
    """
    if as_json:
        from testbed.findings import encode

        click.echo(encode(summary), nl=False)
    else:
        _announce_text(summary, folder)
    if folder.problem is not None:
        click.echo(folder.problem, err=True)
    return EXIT[summary.verdict]


def _announce_text(summary: Summary, folder: RunFolder) -> None:
    rows = [(name, number(value), rate(value, summary.duration_s))
            for name, value in summary.counters.items()]
    print_columns(rows)
    for line in passing_text(summary):
        click.echo(line)
    for finding in summary.findings:
        click.echo()
        click.echo(finding_text(finding, str(folder.finding_path(finding))), nl=False)
    if summary.findings:
        click.echo()
    click.secho(verdict_line(summary), fg=COLORS[summary.verdict], bold=True)
    if folder.problem is None:
        click.echo(f"report: {folder.path / 'report.html'}")


def print_columns(rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a name and two numbers per row, aligned."""
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for name, value, per_second in rows:
        line = f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {per_second:>{widths[2]}}"
        click.echo(line.rstrip())
