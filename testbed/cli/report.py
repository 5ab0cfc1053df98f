"""``testbed report``: the reports of earlier runs."""

import json
import webbrowser
from pathlib import Path

import click

from testbed.cli.group import LazyGroup
from testbed.cli.options import json_option, runs_option
from testbed.commands import duration_text
from testbed.findings import Finding, Summary, encode, schema
from testbed.report.text import finding_text, summary_text
from testbed.runs import Run, find_report, list_runs, read_report, runs_folder

COMMANDS = {
    "list": ("testbed.cli.report:list_reports", "List the runs, oldest first."),
    "show": ("testbed.cli.report:show", "Show a report as text."),
    "open": ("testbed.cli.report:open_report", "Open a report in the browser."),
    "schema": ("testbed.cli.report:print_schema", "Print the JSON schema of reports."),
}


@click.group(cls=LazyGroup, commands_at=COMMANDS)
def report() -> None:
    """List, show and open the reports of earlier runs.

    REPORT is a report file, a run's folder or its name, the first digits of a signature, or
    "latest".
    """


@click.command("list")
@runs_option
@json_option
def list_reports(runs: Path | None, as_json: bool) -> None:
    """List the runs, oldest first, with the title of each finding."""
    found = list_runs(runs)
    if as_json:
        click.echo(json.dumps([_run_json(run) for run in found], indent=1))
        return
    if not found:
        click.echo(f"{runs_folder(runs)}: no runs here", err=True)
    for run in found:
        click.echo(run_line(run))
        for finding in run.summary.findings if run.summary else ():
            times = f" ({finding.count} times)" if finding.count > 1 else ""
            click.echo(f"  {finding.signature}  {finding.title}{times}")


def run_line(run: Run) -> str:
    """Return one line about a run."""
    if run.summary is None:
        return f"{run.path.name}  did not end by itself"
    took = duration_text(round(run.summary.duration_s) or 1)
    return f"{run.path.name}  {run.summary.verdict}  {took}  seed {run.summary.seed}"


def _run_json(run: Run) -> dict[str, object]:
    summary = run.summary
    if summary is None:
        return {"path": str(run.path), "verdict": None}
    return {
        "path": str(run.path), "verdict": str(summary.verdict), "harness": summary.harness,
        "started": summary.started, "duration_s": summary.duration_s, "seed": summary.seed,
        "findings": [
            {"signature": finding.signature, "title": finding.title, "count": finding.count}
            for finding in summary.findings
        ],
    }


@click.command()
@click.argument("wanted", metavar="[REPORT]", default="latest")
@runs_option
@json_option
def show(wanted: str, runs: Path | None, as_json: bool) -> None:
    """Show a report as text, or as JSON."""
    path = find_report(wanted, runs)
    document = read_report(path)
    if as_json:
        click.echo(encode(document), nl=False)
    else:
        click.echo(document_text(document, path), nl=False)


def document_text(document: Finding | Summary, path: Path) -> str:
    """Return a report as text; a run with its findings."""
    if isinstance(document, Finding):
        return finding_text(document, str(path.absolute()))
    folder = path.parent.absolute()
    parts = [
        finding_text(finding, str(folder / "findings" / f"{finding.signature}.json"))
        for finding in document.findings
    ]
    return "\n".join([*parts, summary_text(document)])


@click.command("open")
@click.argument("wanted", metavar="[REPORT]", default="latest")
@runs_option
def open_report(wanted: str, runs: Path | None) -> None:
    """Open a report in the browser; its address is printed in any case."""
    path = find_report(wanted, runs)
    document = read_report(path)
    page = path.with_name("report.html") if isinstance(document, Summary) else path.with_suffix(
        ".html"
    )
    address = page.resolve().as_uri()
    click.echo(address)
    webbrowser.open(address)


@click.command("schema")
def print_schema() -> None:
    """Print the JSON schema of reports."""
    click.echo(json.dumps(schema(), indent=1))
