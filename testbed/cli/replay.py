"""``testbed replay``: run a report's command again, and compare signatures, not mere failure."""

import shlex
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed.cli.options import Integer, duration, json_option, runs_option
from testbed.errors import TestbedError
from testbed.findings import Finding, Summary
from testbed.runs import find_report, read_report

if TYPE_CHECKING:
    from testbed.explore.schedule import ScheduleFile


# How the command of a schedule that was forced begins.
FORCED = ("testbed", "replay", "--real")


class ReplayError(TestbedError):
    """A report whose command cannot be run again from here."""


@click.command()
@click.argument("wanted", metavar="REPORT|FILE")
@click.argument("schedule", required=False)
@click.option("-D", "defines", multiple=True, metavar="NAME[=VALUE]",
              help="With SCHEDULE: a macro for the explored file; may be repeated.")
@click.option("--tries", type=Integer(1), default=1, show_default=True,
              help="Run it up to so many times, until the signature comes back.")
@click.option("--real", is_flag=True,
              help="Force a schedule of the explorer on the real machine: does hardware show it?")
@click.option("--attempts", type=Integer(1), default=100, show_default=True,
              help="With --real: how many times.")
@click.option("--timeout", type=duration, default=20.0,
              help="With --real: for how long at most.  [default: 20s]")
@runs_option
@json_option
def replay(
    wanted: str, schedule: str | None, defines: tuple[str, ...], tries: int, real: bool,
    attempts: int, timeout: float, runs: Path | None, as_json: bool,
) -> int:
    """Run a report's command again with its seed, options and patches.

    REPORT is a report file, a run's folder or its name, the first digits of a signature, or
    "latest". A run of the explorer is done again choice by choice, from its report, from the
    .schedule file beside that, or from what was explored and its SCHEDULE. Exit status: that of
    the last run, so 1 when it was violated again, 3 when it diverged.

    With --real, CPUs of the real machine are made to wait for each other at the few places where
    the schedule of the report changes from one to another. Exit status: 1 when real hardware shows
    the finding, 0 when every attempt came through in that order and held, 3 when it could not be
    forced.
    """
    check_options(wanted, schedule, defines, real)
    if real:
        from testbed.cli.force import run_forced

        if schedule is not None or defines or tries != 1:
            raise click.UsageError("--real forces the schedule of a report: name that, and no more")
        return run_forced(wanted, attempts, timeout, runs, as_json)
    if schedule is not None:
        return explored_again(("testbed", "explore", wanted, *macros(defines)), schedule, None,
                              runs, as_json)
    if wanted.endswith(".schedule"):
        return from_schedule_file(Path(wanted), runs, as_json)
    path = find_report(wanted, runs)
    document = read_report(path)
    if document.command[:3] == FORCED:
        return forced_again(document.command, runs, as_json)
    if document.command[:2] == ("testbed", "explore"):
        return from_explored(document, path, runs, as_json)
    signatures = signatures_of(document)
    status = 0
    for number in range(1, tries + 1):
        summary, status = again(document, runs, as_json)
        back = signatures & signatures_of(summary)
        click.echo(comparison(signatures, summary, number), err=as_json)
        if back or not signatures:
            break
    return status


def check_options(wanted: str, schedule: str | None, defines: tuple[str, ...], real: bool) -> None:
    """Check that there is a report or a schedule, and no option without effect.

    Raises:
        click.UsageError: something is amiss.
    """
    context = click.get_current_context()
    for name in () if real else ("attempts", "timeout"):
        if context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} goes with --real")
    if schedule is None and wanted.partition("::")[0].endswith((".c", ".py")):
        raise click.UsageError(f"{wanted}: not a report; a schedule of it is replayed by "
                               f"testbed replay {wanted} SCHEDULE")  # fmt: skip
    if defines and schedule is None and not real:
        raise click.UsageError("-D goes with SCHEDULE: a report has its own macros")


def forced_again(command: tuple[str, ...], runs: Path | None, as_json: bool) -> int:
    """Force on the real machine what `command` had forced."""
    from testbed.cli.force import run_forced

    with replay.make_context("replay", list(command[2:])) as context:
        values = context.params
    return run_forced(values["wanted"], values["attempts"], values["timeout"], runs, as_json)


def macros(defines: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments that define macros."""
    return tuple(word for define in defines for word in ("-D", define))


def from_schedule_file(path: Path, runs: Path | None, as_json: bool) -> int:
    """Do the run of a schedule file again."""
    from testbed.explore.replay import read_schedule

    document = read_schedule(path)
    arguments = ("testbed", "explore", document.target, *document.options)
    return explored_again(arguments, str(document.schedule), document, runs, as_json)


def from_explored(
    document: Finding | Summary, path: Path, runs: Path | None, as_json: bool
) -> int:
    """Do the run of an explorer's finding again; a run without one is searched again.

    Raises:
        ReplayError: it has several findings, or none.
    """
    from testbed.explore.replay import schedule_path

    findings = (document,) if isinstance(document, Finding) else document.findings
    if not findings or findings[0].story is None:
        raise ReplayError(
            f"{path}: no schedule failed, so there is none to replay; to search again: "
            f"{shlex.join(document.command)}"
        )
    finding = findings[0]
    if "--schedule" not in finding.command:
        summary, status = explored_by(finding.command, runs, as_json)
        click.echo(comparison({finding.signature}, summary, 1), err=as_json)
        return status
    folder = path if isinstance(document, Finding) else path.parent / "findings" / path.name
    kept = schedule_path(folder, finding)
    if kept.is_file():
        return from_schedule_file(kept, runs, as_json)
    arguments = finding.command[: finding.command.index("--schedule")]
    assert finding.story is not None
    return explored_again(arguments, finding.story.schedule, None, runs, as_json)


def explored_again(
    command: tuple[str, ...], schedule: str, expected: "ScheduleFile | None", runs: Path | None,
    as_json: bool,
) -> int:
    """Do one run of the explorer.

    Args:
        command: argv that explored it.
        schedule: of the run.
        expected: what is known of the run.
        runs: the folder of all runs.
        as_json: only JSON goes to stdout.
    """
    from testbed.cli.explore import run_schedule

    named, values = arguments_of(command, runs, as_json)
    return run_schedule(named, values, schedule, expected)


def explored_by(command: tuple[str, ...], runs: Path | None, as_json: bool) -> tuple[Summary, int]:
    """Search again as `command` does."""
    from testbed.cli.explore import searched

    named, values = arguments_of(command, runs, as_json)
    return searched(named, values)


def arguments_of(
    command: tuple[str, ...], runs: Path | None, as_json: bool
) -> tuple[str, dict[str, Any]]:
    """Return what ``testbed explore`` makes of the arguments in `command`: target and options."""
    from testbed.cli.explore import explore

    check_files(command)
    with explore.make_context("explore", list(command[2:])) as context:
        values = dict(context.params)
    named: str = values.pop("target")
    for unused in ("list_them", "schedule", "like"):
        values.pop(unused)
    return named, values | {"runs": runs, "as_json": as_json}


def again(
    document: Finding | Summary, runs: Path | None, as_json: bool
) -> tuple[Summary, int]:
    """Run the command of `document` in this process.

    Raises:
        ReplayError: it is not a command of ``testbed stress``.
    """
    from testbed.cli.stress import run_stress
    from testbed.cli.stress import stress as group
    from testbed.harness import load

    command = document.command
    if command[:2] != ("testbed", "stress") or len(command) < 3:
        raise ReplayError(f"{' '.join(command)}: only runs of testbed stress can be replayed")
    check_files(command)
    named, arguments = command[2], list(command[3:])
    harness = load(named)
    with click.Context(group, info_name="stress") as parent:
        found = group.get_command(parent, named)
        assert found is not None
        with found.make_context(named, arguments, parent=parent) as context:
            values = dict(context.params)
    values.pop("runs")
    values.pop("as_json")
    return run_stress(harness, named, values, runs, as_json)


def check_files(command: tuple[str, ...]) -> None:
    """Check that a command's files are still there.

    Raises:
        ReplayError: one is not.
    """
    from testbed.paths import found_path

    target = command[2].partition("::")[0]
    strategies = [
        value.rpartition(":")[0] for option, value in pairwise(command) if option == "--strategy"
    ]
    patches = [value for option, value in pairwise(command) if option == "--patch"]
    code = [file for file in (target, *strategies) if file.endswith((".c", ".py"))]
    for file in (*code, *patches):
        if not found_path(file).is_file():
            raise ReplayError(
                f"{file}: this file, which the report is about, is no longer there; "
                f"with its place of now, the run is: {shlex.join(command)}"
            )


def signatures_of(document: Finding | Summary) -> set[str]:
    """Return the signatures of a finding, or of all findings of a run."""
    if isinstance(document, Finding):
        return {document.signature}
    return {finding.signature for finding in document.findings}


def comparison(wanted: set[str], summary: Summary, number: int) -> str:
    """Return one line that says whether the same came back."""
    found = signatures_of(summary)
    back = sorted(wanted & found)
    if back:
        return f"try {number}: the same signature came back: {' '.join(back)}"
    if found:
        titles = "; ".join(finding.title for finding in summary.findings)
        return f"try {number}: something else was found: {titles}"
    if not wanted:
        return f"try {number}: the report has no finding; this run: {summary.verdict}"
    return f"try {number}: not found again ({summary.verdict}): {' '.join(sorted(wanted))}"
