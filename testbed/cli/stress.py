"""``testbed stress``: each harness is a subcommand with its own options, made when it is named."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed import __version__
from testbed.cli.options import Integer, Number, PatchPath, duration, json_option, runs_option
from testbed.commands import STRESS_DEFAULTS, duration_text, stress_command, with_command
from testbed.findings import Summary, Verdict, environment
from testbed.paths import shown_target
from testbed.runs import RunFolder

if TYPE_CHECKING:
    from loguru import Logger

    from testbed.harness import Harness, Option
    from testbed.stress import Progress

STOPPED = "it was stopped before it could be judged"
TYPES: dict[type, Any] = {
    int: click.INT, float: click.FLOAT, bool: click.BOOL, str: click.STRING,
}

# The options of every harness; what is not among them is the harness's own.
COMMON: tuple[click.Option, ...] = (
    click.Option(["--cpus"], type=Integer(1, 64), default=STRESS_DEFAULTS["cpus"],
                 show_default=True, help="CPUs of the machine."),
    click.Option(["--seed"], type=Integer(0, 2**64 - 1),
                 help="Seed of every random choice.  [default: a new one]"),
    click.Option(["--duration"], type=duration, default=STRESS_DEFAULTS["duration"],
                 help="How long, for example 30s, 5m, 2m30s.  [default: 1m]"),
    click.Option(["--poke"], type=click.Choice(["int3", "stop_machine"]),
                 default=STRESS_DEFAULTS["poke"], show_default=True, help="How text is changed."),
    click.Option(["--preempt"], type=click.Choice(["full", "none"]),
                 default=STRESS_DEFAULTS["preempt"], show_default=True,
                 help="Tasks lose their CPU anywhere, or only where they ask."),
    click.Option(["--tick-us"], type=Integer(0, 1_000_000),
                 default=STRESS_DEFAULTS["tick_us"], show_default=True,
                 help="Timer period in us; 0 = tasks are never preempted."),
    click.Option(["--hang-ms"], type=Integer(0), default=STRESS_DEFAULTS["hang_ms"],
                 show_default=True, help="A wait longer than this is a finding; 0 = never."),
    click.Option(["-j", "--cores"], type=Integer(1),
                 help="Cores to use at once.  [default: all that this process may use]"),
    click.Option(["--pin/--no-pin"], default=False, show_default=True,
                 help="Keep each CPU on a core of its own, if there are enough."),
    click.Option(["--patch", "patches"], multiple=True, metavar="FILE",
                 type=PatchPath(exists=True, dir_okay=False, path_type=Path),
                 help="Apply a patch to the C sources first; may be repeated."),
    click.Option(["--keep-going"], is_flag=True, default=False,
                 help="Go on after a finding, until the duration is over."),
)


class StressGroup(click.Group):
    """Its subcommands are the harnesses, by name or by the path of a file."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the project's own harnesses."""
        from testbed.harness import harnesses

        return [harness.name for harness in harnesses()]

    def get_command(
        self, ctx: click.Context, cmd_name: str  # noqa: ARG002
    ) -> click.Command | None:
        """Load a harness and make a command of it; TestbedError tells what is wrong."""
        from testbed.harness import load

        return harness_command(load(cmd_name), cmd_name)


@click.group(cls=StressGroup, invoke_without_command=True, subcommand_metavar="NAME|FILE [OPTIONS]")
@click.option("--list", "list_them", is_flag=True, help="List the harnesses, a line each.")
@click.pass_context
def stress(ctx: click.Context, list_them: bool) -> None:
    """Run a harness on the real machine for a while.

    NAME is one of the harnesses below, FILE is the path of your own. Each has options of its own:
    see testbed stress NAME --help.
    """
    if ctx.invoked_subcommand is None:
        if not list_them:
            click.echo(ctx.get_help())
            return
        from testbed.harness import harnesses

        rows = [(harness.name, harness.title) for harness in harnesses()]
        width = max((len(name) for name, _ in rows), default=0)
        for name, title in rows:
            click.echo(f"{name:<{width}}  {title}")


def harness_command(harness: "Harness", named: str) -> click.Command:
    """Return the command that runs `harness`; `named` is how the user called it."""

    def callback(**values: Any) -> int:
        runs, as_json = values.pop("runs"), values.pop("as_json")
        return run_stress(harness, named, values, runs, as_json)[1]

    own = [_own_option(option) for option in harness.options]
    command = click.Command(
        named, params=[*own, *_common_options(harness)], callback=callback, help=harness.title,
        options_metavar="[OPTIONS]",
    )
    return json_option(runs_option(command))


def _common_options(harness: "Harness") -> Iterator[click.Option]:
    """Yield `COMMON`, with the CPUs that `harness` needs."""
    for option in COMMON:
        if option.name == "cpus" and harness.cpus is not None:
            yield click.Option(["--cpus"], type=Integer(harness.cpus, 64),
                               default=harness.cpus, show_default=True, help=option.help)
        else:
            yield option


def _own_option(option: "Option") -> click.Option:
    kind = click.Choice(option.choices) if option.choices else TYPES.get(option.type, click.STRING)
    least, most = option.minimum, option.maximum
    if option.type is int and (least, most) != (None, None):
        kind = Integer(
            None if least is None else int(least), None if most is None else int(most)
        )
    elif option.type is float and (least, most) != (None, None):
        kind = Number(least, most)
    name = option.name.replace("_", "-")
    declared = f"--{name}/--no-{name}" if option.type is bool else f"--{name}"
    return click.Option(
        [declared, option.name], type=None if option.type is bool else kind,
        default=option.default, show_default=option.default is not None, help=option.help,
    )


def run_stress(
    harness: "Harness", named: str, values: dict[str, Any], runs: Path | None, as_json: bool
) -> tuple[Summary, int]:
    """Run a harness as the command line asks, say how it went, and write its report.

    Args:
        harness: what to run.
        named: how the user called it: a name or a path.
        values: the options of the harness and `COMMON`, by name.
        runs: the folder of all runs, None for the usual one.
        as_json: only JSON goes to stdout.

    Returns:
        How the run ended, and the exit status that says so.
    """
    from testbed.cli.output import announce, progress_display
    from testbed.stress import RunOptions, run

    if values["seed"] is None:
        values["seed"] = int.from_bytes(os.urandom(4), "little")
    options = RunOptions.of(harness, values)
    click.echo(first_line(harness.name, values), err=as_json)
    folder = RunFolder.create(harness.name, runs)
    command = stress_command(harness, shown_target(named), values)
    folder.event("start", command=list(command))
    shown: list[Progress] = []

    def show(progress: "Progress") -> None:
        shown[:] = [progress]
        display(progress)

    with folder.building(), logging_to(folder) as logger, progress_display(as_json) as display:
        logger.info(first_line(harness.name, values))
        try:
            summary = run(harness, options, show, folder)
        except KeyboardInterrupt:
            folder.event("end", verdict="unknown", reason=STOPPED)
            if not shown:
                raise
            summary = stopped(harness, values, shown[0])
    summary = folder.finish(with_command(summary, command))
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    return summary, announce(summary, folder, as_json)


def stopped(harness: "Harness", values: dict[str, Any], last: "Progress") -> Summary:
    """Return what is known of a run that the user stopped at once."""
    own = {option.name: str(values[option.name]) for option in harness.options}
    started = datetime.now(UTC) - timedelta(seconds=last.elapsed_s)
    return Summary(
        verdict=Verdict.UNKNOWN,
        harness=harness.name,
        claim=harness.claim,
        seed=values["seed"],
        options={"cpus": str(values["cpus"])} | own,
        command=(),
        version=__version__,
        build_id="",
        started=started.isoformat(timespec="seconds"),
        duration_s=round(last.elapsed_s, 3),
        counters=dict(last.counters),
        reason=STOPPED,
        environment=environment(""),
    )


def first_line(name: str, values: dict[str, Any]) -> str:
    """Return version, seed and all options as one line: what to know to run it again."""
    shown = {"seed": values["seed"]} | {
        option: value for option, value in values.items()
        if option != "seed" and value not in (None, (), False)
    }
    parts = [f"testbed {__version__}", f"stress {name}"]
    for option, value in shown.items():
        text = duration_text(value) if option == "duration" else str(value)
        if option == "patches":
            text = " ".join(path.name for path in value)
        parts.append(option if value is True else f"{option} {text}")
    return "  ".join(parts)


@contextmanager
def logging_to(folder: RunFolder) -> Iterator["Logger"]:
    """Send the log to the run's folder, and warnings to stderr as well, for as long as it lasts."""
    from loguru import logger

    logger.remove()
    handlers = [
        logger.add(folder.log, level="DEBUG", format="{time:HH:mm:ss.SSS} {level} {message}"),
        logger.add(sys.stderr, level="WARNING", format="{message}"),
    ]
    try:
        yield logger
    finally:
        for handler in handlers:
            logger.remove(handler)
