"""``testbed explore``: every schedule of a C program or scenario, under x86-TSO."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed import __version__
from testbed.cli.options import Integer, PatchPath, duration, json_option, runs_option
from testbed.commands import duration_text
from testbed.explore.strategies import (
    AUTO,
    BY_DEPTH,
    DEFAULT_BUFFER,
    DEFAULT_DURATION_S,
    DEFAULT_MAX_STEPS,
    EXHAUSTIVE,
    STRATEGIES,
)
from testbed.runs import RunFolder

if TYPE_CHECKING:
    from testbed.explore.run import ExploreOptions
    from testbed.explore.schedule import ScheduleFile
    from testbed.findings import Summary

@click.command(options_metavar="[OPTIONS]")
@click.argument("target", metavar="NAME|FILE", required=False)
@click.option("--list", "list_them", is_flag=True, help="List what the project has to explore.")
@click.option("--seed", type=Integer(0, 2**64 - 1),
              help="Seed of every random choice.  [default: a new one]")
@click.option("--duration", type=duration, default=DEFAULT_DURATION_S,
              help="How long to search at most.  [default: 1m]")
@click.option("--executions", type=Integer(1),
              help="How many runs of the program to make at most.")
@click.option("-j", "--processes", type=Integer(1, 256),
              help="Explorer processes.  [default: one for each core]")
@click.option("--strategy", default=AUTO, show_default=True, metavar="NAME|FILE.py:FUNCTION",
              help=f"How to search: {', '.join(STRATEGIES)}, or a function in Python.")
@click.option("--exhaustive", is_flag=True, help="Search all of it: the same as --strategy dpor.")
@click.option("--depth", type=Integer(0, 64), default=0,
              help="Depth of bugs that strategy pct looks for.  [default: 2, 3, 4 in rotation]")
@click.option("--delay-bound", type=Integer(0, 64),
              help="Exhaustive: at most so many choices in a run that are not the default.")
@click.option("--preemption-bound", type=Integer(0, 64),
              help="Exhaustive: at most so many preemptions and early drains in a run.")
@click.option("--buffer", type=Integer(0, 64), default=DEFAULT_BUFFER, show_default=True,
              help="Stores that a CPU's buffer holds; 0 = sequential consistency.")
@click.option("--sc", is_flag=True, help="Sequential consistency: the same as --buffer 0.")
@click.option("--max-steps", type=Integer(1, 2**31), default=DEFAULT_MAX_STEPS,
              show_default=True, help="Operations of one run; a longer run is unknown.")
@click.option("--ticks", type=Integer(0, 64), default=0, show_default=True,
              help="Timer interrupts of each CPU in a run, at any point.")
@click.option("--cpus", type=Integer(1, 15), help="CPUs of the explored machine.  "
              "[default: as many as its tasks need]")
@click.option("--preempt", type=click.Choice(["full", "none"]),
              help="Tasks lose their CPU anywhere, or only where they ask.  "
              "[default: as what is explored says, else full]")
@click.option("--races/--no-races", default=True, show_default=True,
              help="Data races are findings.")
@click.option("-D", "defines", multiple=True, metavar="NAME[=VALUE]",
              help="A macro for the explored file; may be repeated.")
@click.option("--patch", "patches", multiple=True, metavar="FILE",
              type=PatchPath(exists=True, dir_okay=False, path_type=Path),
              help="Apply a patch to the C sources first; may be repeated.")
@click.option("--all", "all_findings", is_flag=True, help="Go on after a finding, and count.")
@click.option("--check", is_flag=True, help="Do some runs again by their schedules and compare.")
@click.option("--schedule", metavar="SCHEDULE", help="Do the one run that this schedule means.")
@click.option("--like", metavar="REPORT",
              help="Look for what a report of stress or explore has found, past anything else.")
@click.option("--show-pass", is_flag=True, help="Show a run that passes.")
@runs_option
@json_option
def explore(target: str | None, list_them: bool, **values: Any) -> int:
    """Search the schedules of a C file or scenario for one that fails.

    FILE is a C file, with pthreads and C11 atomics or in the kernel's vocabulary, or a Python file
    with scenarios; NAME is one of the project's own. First everything is tried for a few seconds;
    what is too large for that is sampled by several strategies until the time is over.
    """
    schedule, like = values.pop("schedule"), values.pop("like")
    if schedule is not None and like is not None:
        raise click.UsageError("--schedule and --like: one of them")
    check_strategy(values)
    if like is not None and not list_them:
        from testbed.cli.like import run_like

        return run_like(like, target, values)
    if list_them or target is None:
        return _list(list_them)
    if schedule is not None:
        return run_schedule(target, values, schedule)
    return run_explore(target, values)


def check_strategy(values: dict[str, Any]) -> None:
    """Check that no option is without effect beside the others.

    Raises:
        click.UsageError: one is.
    """
    strategy, wanted = values["strategy"], f"--strategy {values['strategy']}"
    searches_all = strategy in EXHAUSTIVE or values["exhaustive"]
    if values["exhaustive"] and strategy not in (AUTO, *EXHAUSTIVE):
        raise click.UsageError(f"--exhaustive and {wanted}: one of them")
    if values["sc"] and values["buffer"] not in (0, DEFAULT_BUFFER):
        raise click.UsageError(f"--sc and --buffer {values['buffer']}: one of them")
    for name in ("delay_bound", "preemption_bound"):
        if values[name] is not None and strategy != AUTO and not searches_all:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is of exhaustive searches, and {wanted} is none")
    if values["depth"] and (searches_all or strategy not in (AUTO, *BY_DEPTH)):
        raise click.UsageError(f"--depth is of --strategy {' and '.join(BY_DEPTH)} only")


def _list(wanted: bool) -> int:
    from testbed.explore.target import targets

    if not wanted:
        raise click.UsageError("explore what? a C file, or one of testbed explore --list")
    rows = targets()
    width = max((len(name) for name, _ in rows), default=0)
    for name, claim in rows:
        click.echo(f"{name:<{width}}  {claim}")
    return 0


def run_explore(named: str, values: dict[str, Any]) -> int:
    """Explore as the command line asks, say how it went, and write its report."""
    return searched(named, values)[1]


def searched(named: str, values: dict[str, Any]) -> tuple[Summary, int]:
    """Do the same, and return what it came to, with the exit status."""
    from testbed.cli.output import announce, progress_display
    from testbed.cli.stress import logging_to
    from testbed.explore.run import explore as run
    from testbed.explore.target import find_target

    runs, as_json = values.pop("runs"), values.pop("as_json")
    target = find_target(named)
    options = options_of(target.named, values)
    first = first_line(named, options)
    click.echo(first, err=as_json)
    folder = RunFolder.create(f"explore-{target.name}", runs)
    folder.event("start", command=list(options.command))
    with folder.building(), logging_to(folder) as logger, progress_display(as_json) as display:
        logger.info(first)
        summary = run(target, options, display, folder)
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    return summary, announce(summary, folder, as_json)


def run_schedule(
    named: str, values: dict[str, Any], schedule: str, expected: ScheduleFile | None = None
) -> int:
    """Do one run by its schedule, say how it went, and write its report.

    Args:
        named: the target, as the user called it.
        values: options of the command, by name.
        schedule: as text.
        expected: what is known of the run.
    """
    from testbed.cli.output import announce
    from testbed.explore.replay import replay
    from testbed.explore.schedule import Schedule
    from testbed.explore.target import find_target

    parsed = Schedule.parse(schedule)
    runs, as_json = values.pop("runs"), values.pop("as_json")
    target = find_target(named)
    options = options_of(target.named, values)
    command = ("testbed", "explore", target.named, *options.same_run, "--schedule", schedule)
    options = replace(options, command=command)
    click.echo(f"testbed {__version__}  explore {named}  schedule {schedule}", err=as_json)
    folder = RunFolder.create(f"replay-{target.name}", runs)
    with folder.building():
        done = replay(target, options, parsed, expected, folder)
    summary = folder.finish(done.summary)
    status = announce(summary, folder, as_json)
    click.echo(str(done), err=as_json)
    return status


def options_of(named: str, values: dict[str, Any]) -> ExploreOptions:
    """Return the options of a run from those of the command line."""
    from testbed.explore.command import options_with_command
    from testbed.explore.python_strategy import load_strategy
    from testbed.explore.search import SearchOptions
    from testbed.paths import found_path, shown_path

    seed = values["seed"]
    if seed is None:
        seed = int.from_bytes(os.urandom(4), "little")
    strategy = values["strategy"]
    if values["exhaustive"] and strategy == AUTO:
        strategy = EXHAUSTIVE[0]
    choose = None if strategy in STRATEGIES else load_strategy(strategy)
    if choose is not None:
        file, _, function = strategy.rpartition(":")
        strategy = f"{shown_path(found_path(file))}:{function}"
    search = SearchOptions(
        seed=seed,
        processes=values["processes"] or len(os.sched_getaffinity(0)),
        strategy=strategy,
        duration_s=values["duration"],
        runs=values["executions"] or 0,
        depth=values["depth"],
        preemption_bound=values["preemption_bound"],
        delay_bound=values["delay_bound"],
        buffer=0 if values["sc"] else values["buffer"],
        max_steps=values["max_steps"],
        ticks=values["ticks"],
        races=values["races"],
        all_findings=values["all_findings"],
        check=values["check"],
        choose=choose,
    )
    return options_with_command(
        named, search, values["patches"], values["defines"], values["cpus"] or 0,
        values["show_pass"], values["preempt"] or "",
    )


def first_line(named: str, options: ExploreOptions) -> str:
    """Return version, seed and options as one line: what to know to run it again."""
    parts = [f"testbed {__version__}", f"explore {named}", f"seed {options.search.seed}",
             f"processes {options.search.processes}",
             f"duration {duration_text(options.search.duration_s)}"]  # fmt: skip
    parts += [f"{name} {value}" for name, value in options.shown.items() if name != "duration"]
    return "  ".join(parts)
