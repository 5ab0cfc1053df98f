"""``testbed doctor``: what this machine can do, and what each missing thing costs."""

from pathlib import Path

import click

from testbed.cli.options import json_option, runs_option

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "missing": ("missing", "red")}


@click.command()
@runs_option
@json_option
def doctor(runs: Path | None, as_json: bool) -> int:
    """Check what this machine can do, and say what each missing thing costs.

    Exit status: 0 when machines can be booted here, 2 when they cannot.
    """
    from testbed.doctor import able, check_all, to_json

    checks = check_all(runs)
    if as_json:
        click.echo(to_json(checks), nl=False)
        return 0 if able(checks) else 2
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark, color = MARKS[check.state]
        click.echo(f"{click.style(f'{mark:<7}', fg=color)}  {check.name:<{width}}  {check.found}")
        if check.cost:
            click.echo(f"{'':7}  {'':{width}}  {check.cost}")
    missing = [check.name for check in checks if check.state == "missing" and check.needed]
    if missing:
        click.echo(f"not able: {', '.join(missing)}")
    else:
        click.echo("able: machines can be booted here")
    return 0 if able(checks) else 2
