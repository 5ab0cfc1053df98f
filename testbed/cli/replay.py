"""``testbed replay``: run a report's command again, and compare signatures, not mere failure."""

from pathlib import Path

import click

from testbed.cli.options import json_option, runs_option
from testbed.errors import TestbedError
from testbed.findings import Finding, Summary
from testbed.runs import find_report, read_report


class ReplayError(TestbedError):
    """A report whose command cannot be run again from here."""


@click.command()
@click.argument("wanted", metavar="REPORT")
@click.option("--tries", type=click.IntRange(1), default=1, show_default=True,
              help="Run it up to so many times, until the signature comes back.")
@runs_option
@json_option
def replay(wanted: str, tries: int, runs: Path | None, as_json: bool) -> int:
    """Run a report's command again with its seed, options and patches.

    REPORT is a report file, a run's folder or its name, the first digits of a signature, or
    "latest". Exit status: that of the last run, so 1 when it was violated again.
    """
    path = find_report(wanted, runs)
    document = read_report(path)
    signatures = signatures_of(document)
    status = 0
    for number in range(1, tries + 1):
        summary, status = again(document, runs, as_json)
        back = signatures & signatures_of(summary)
        click.echo(comparison(signatures, summary, number), err=as_json)
        if back or not signatures:
            break
    return status


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
