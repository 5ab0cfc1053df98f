"""``testbed zoo``: historical bugs are put back one by one; which of them are found?"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from testbed.cli.options import Integer, json_option, runs_option
from testbed.cli.options import duration as time_span

if TYPE_CHECKING:
    from testbed.zoo import Mode, ZooResult

# Columns of a terminal: below the first, places are told below the table; the table has the second.
WIDE, LEAST_WIDTH = 200, 100


@click.command()
@click.argument("names", nargs=-1, metavar="[BUG]...")
@click.option("--real", is_flag=True,
              help="Look for them on the real machine only.")
@click.option("--virtual", is_flag=True,
              help="Look for them with the explorer only.")
@click.option("--cpus", type=Integer(1, 64), help="CPUs of each machine.  [default: as each "
              "bug asks for]")
@click.option("--seed", type=Integer(0, 2**64 - 1),
              help="Seed of every random choice.  [default: a new one]")
@click.option("--duration", type=time_span,
              help="How long to look for each bug at most.  [default: as each bug asks for]")
@click.option("-j", "--jobs", type=Integer(1), default=1, show_default=True,
              help="Bugs to look for at the same time.")
@click.option("--variants", is_flag=True,
              help="Run what is unusual but right instead: nothing may be found.")
@runs_option
@json_option
def zoo(
    names: tuple[str, ...], real: bool, virtual: bool, cpus: int | None, seed: int | None,
    duration: float | None, jobs: int, variants: bool, runs: Path | None, as_json: bool,
) -> int:
    """Put historical bugs back, one at a time, and see whether they are found.

    BUG is the name of a patch in stress/zoo; without one, all of them. What lies beside the patch
    says who can show the bug: a harness on the real machine, the explorer with a scenario or one
    of its programs, or both; without --real or --virtual each of them looks for it, a row for
    each. The explorer's row tells how many schedules it tried, and how many interventions are left
    in the smallest one that fails; the command below the table does that run again. Bugs whose
    mechanism is not there yet are listed with what they need.

    Exit status: 0 when every bug was found that is meant to be, 3 when one was not found in the
    time given; on real hardware some are hard to find, which is said and is no failure. A finding
    of a kind that does not count for the bug is shown, and counts as not found. A patch that does
    not apply is an error, with status 2. With --variants: 0 when nothing was found, 1 when
    something was, which is a false alarm.
    """
    from testbed.zoo import run, variants_folder

    if real and virtual:
        raise click.UsageError("--real and --virtual: one of them; without, both machines look")
    mode: Mode | None = "real" if real else "virtual" if virtual else None
    chosen = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    click.echo(f"seed {chosen}", err=as_json)
    results = run(
        names, mode=mode, jobs=jobs, budget_s=duration, seed=chosen, cpus=cpus, runs=runs,
        folder=variants_folder() if variants else None,
        done=lambda result: click.echo(
            f"{result.name} ({result.machine}): {outcome(result)}", err=as_json
        ),
    )
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(results), indent=1))
    else:
        print_results(results)
    if any(result.right and result.kind for result in results):
        return 1
    return 0 if all(result.as_expected for result in results) else 3


def outcome(result: "ZooResult") -> str:
    """Return what became of a bug, in a few words."""
    if result.found:
        return f"{result.kind} after {result.seconds:.1f} s"
    if result.kind:
        told = "which is a false alarm" if result.right else "which does not count for this bug"
        return f"{result.kind} after {result.seconds:.1f} s, {told}"
    if result.needs:
        return f"needs {result.needs}"
    told = f"{'silent for' if result.right else 'not found in'} {result.seconds:.0f} s"
    return f"{told}: {result.reason}" if result.reason else told


def print_results(results: "list[ZooResult]") -> None:
    """Print one row per bug, and then the commands that show the found ones again."""
    from rich.console import Console
    from rich.table import Table

    # A pipe has no width to fit into: nothing is cut there.
    console = Console(width=None if os.isatty(1) else WIDE, highlight=False)
    console.width = max(console.width, LEAST_WIDTH)
    places = console.width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    words = ("bug", "machine", "found", "kind", *(("here", "other") if places else ()))
    for heading in (*words, "hits", "executions", "interventions", "seconds"):
        justify: Literal["left", "right"] = "left" if heading in words else "right"
        table.add_column(heading, justify=justify, overflow="fold")
    for result in results:
        explored = result.machine == "virtual"
        if result.needs:
            table.add_row(result.name, "", found_word(result))
            continue
        table.add_row(
            result.name, result.machine, found_word(result), result.kind,
            *((result.here, result.other) if places else ()), f"{result.hits:,}",
            f"{result.executions:,}" if explored else "",
            f"{result.interventions:,}" if explored and result.kind else "",
            f"{result.seconds:.1f}",
        )
    console.print(table)
    looked = [result for result in results if not result.needs]
    for result in looked:
        click.echo()
        click.echo(f"{result.name} ({result.machine}): {result.title}")
        click.echo(f"  {result.source}")
        for name, place in (("here", result.here), ("other", result.other)):
            if place and not places:
                click.echo(f"  {name}: {place}")
        told = f"again: {' '.join(result.command)}" if result.kind else outcome(result)
        click.echo(f"  {told}")
        if result.report:
            click.echo(f"  report: {result.report}")
    click.echo()
    click.echo(totals(looked, len(results) - len(looked)))


def totals(results: "list[ZooResult]", missing: int) -> str:
    """Return how many were found, or were silent, of those looked for."""
    right = [result for result in results if result.right]
    if right:
        return f"{sum(result.as_expected for result in right)} of {len(right)} silent"
    found = sum(result.found for result in results)
    hard = sum(not result.found and not result.expected for result in results)
    others = f", {hard} of the others hard" if hard else ""
    absent = f"; {missing} more need what is not there yet" if missing else ""
    return f"{found} of {len(results)} found{others}{absent}"


def found_word(result: "ZooResult") -> str:
    """Return the word of the column "found"."""
    if result.needs:
        return f"needs {result.needs}"
    if result.right:
        return "silent" if result.as_expected else "false alarm" if result.kind else "unknown"
    if result.found:
        return "yes"
    if result.kind:
        return "as another"
    return "no" if result.expected else "no (hard)"
