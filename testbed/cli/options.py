"""Options that several commands share, and how their values read."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from testbed.paths import found_path

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")

Function = TypeVar("Function", bound=Callable[..., Any])


def duration(value: str | float) -> float:
    """Return the seconds of a time such as ``5m``, ``30s``, ``2m30s``; a bare number is seconds.

    Raises:
        click.BadParameter: it is no time, or not more than 0.
    """
    seconds = value if isinstance(value, int | float) else seconds_of(value)
    if seconds is None or seconds <= 0:
        raise click.BadParameter(
            f"{value}: a duration is more than 0, for example 30s, 5m or 2m30s"
        )
    return float(seconds)


def seconds_of(text: str) -> float | None:
    """Return the seconds that `text` means, None if it is no duration."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or PART.sub("", text):
        return None
    return sum(float(number) * UNITS[unit] for number, unit in PART.findall(text))


class Integer(click.IntRange):
    """An integer of a range; what is none is told so, in plain words."""

    name = "integer"


class Number(click.FloatRange):
    """The same for any number."""

    name = "number"


class PatchPath(click.Path):
    """A patch: where it is said to be, or else at that place of the project."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the path of an existing file."""
        return super().convert(found_path(value), param, ctx)


def runs_option(function: Function) -> Function:
    """Add ``--runs``."""
    return click.option(
        "--runs", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
        help="Folder of all runs.  [default: $TESTBED_RUNS or testbed-runs]",
    )(function)


def json_option(function: Function) -> Function:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Write JSON, and nothing else, to stdout."
    )(function)
