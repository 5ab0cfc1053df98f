"""``testbed replay --real``: the schedule of a report, forced on the real machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from testbed import __version__
from testbed.errors import TestbedError
from testbed.findings import Finding
from testbed.runs import RunFolder, find_report, read_report

if TYPE_CHECKING:
    from testbed.explore.schedule import ScheduleFile
    from testbed.gates.force import Tally


class ForceError(TestbedError):
    """A report without a schedule that could be forced."""


def run_forced(
    wanted: str, attempts: int, timeout_s: float, runs: Path | None, as_json: bool
) -> int:
    """Force the run of a report on the real machine, say how it went, and write a report.

    Args:
        wanted: names a report of the explorer, or a ``.schedule`` file.
        attempts: at most.
        timeout_s: for all of them, s.
        runs: the folder of all runs.
        as_json: only JSON goes to stdout.
    """
    from testbed.cli.explore import options_of
    from testbed.cli.output import announce
    from testbed.cli.replay import arguments_of
    from testbed.commands import duration_text
    from testbed.explore.target import find_target
    from testbed.gates.force import ForceOptions, force

    command, document, path = forced_command(wanted, runs)
    named, values = arguments_of(command, runs, as_json)
    for name in ("runs", "as_json"):
        values.pop(name)
    target = find_target(named)
    options = options_of(target.named, values)
    again = ("testbed", "replay", "--real", str(path.absolute()), "--attempts", str(attempts),
             "--timeout", duration_text(timeout_s))  # fmt: skip
    said = f"testbed {__version__}  replay --real {target.named}  schedule {document.schedule}"
    click.echo(said, err=as_json)
    folder = RunFolder.create(f"replay-real-{target.name}", runs)
    folder.event("start", command=list(again))

    def tell(tally: Tally) -> None:
        folder.event("attempt", number=tally.attempts, forced=tally.forced, shown=tally.shown)

    how = ForceOptions(attempts, timeout_s, again)
    done = force(target, options, document.schedule, how, folder, tell)
    summary = folder.finish(done.summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    status = announce(summary, folder, as_json)
    for note in done.notes:
        click.echo(note, err=as_json)
    click.echo(done.verdict, err=as_json)
    return status


def forced_command(wanted: str, runs: Path | None) -> tuple[tuple[str, ...], ScheduleFile, Path]:
    """Return the argv that explored what a report is about, and the schedule of its finding.

    The path is that of the schedule.

    Raises:
        ForceError: it has none.
    """
    from testbed.explore.replay import read_schedule, schedule_path

    if wanted.endswith(".schedule"):
        path = Path(wanted)
    else:
        report = find_report(wanted, runs)
        document = read_report(report)
        findings = (document,) if isinstance(document, Finding) else document.findings
        explored = [one for one in findings if one.story is not None]
        if not explored:
            raise ForceError(
                f"{report}: no schedule in it; what can be forced is a finding of testbed explore: "
                f"to look for this one there: testbed explore --like {wanted}"
            )
        folder = report if isinstance(document, Finding) else report.parent / "findings" / "x.json"
        path = schedule_path(folder, explored[0])
        if not path.is_file():
            raise ForceError(
                f"{report}: no single schedule shows it, so there is none to force; or "
                f"{path.name} is no longer beside it"
            )
    schedule = read_schedule(path)
    return ("testbed", "explore", schedule.target, *schedule.options), schedule, path
