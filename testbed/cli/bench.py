"""``testbed bench``: what things cost here, as ratios measured in one run."""

import json
from typing import Any

import click

from testbed.cli.options import json_option


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def bench(names: tuple[str, ...], as_json: bool) -> None:
    """Measure what things cost here; NAME chooses among the measurements."""
    from testbed.bench import run

    results = run(names)
    if as_json:
        click.echo(json.dumps(results, indent=1))
        return
    rows = list(flat(results))
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def flat(values: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return nested results as (dotted name, value) rows."""
    if not isinstance(values, dict):
        text = f"{values:,.4g}" if isinstance(values, float) else str(values)
        return [(prefix, text)]
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        rows += flat(value, f"{prefix}.{name}" if prefix else str(name))
    return rows
