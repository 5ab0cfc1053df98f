"""Command lines as text: the argv that does a run again, with what is no default."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from testbed.findings import Summary
from testbed.paths import shown_path

if TYPE_CHECKING:
    from testbed.harness import Harness

# The options that every harness has, in the order in which they are shown, and their defaults.
STRESS_DEFAULTS: Mapping[str, Any] = {
    "cpus": 4, "seed": None, "duration": 60.0, "poke": "int3", "preempt": "full",
    "tick_us": 1000,
    "hang_ms": 10_000, "cores": None, "pin": False, "patches": (), "keep_going": False,
}  # fmt: skip

# Always written: without a seed it is another run.
ALWAYS = ("seed", "cpus")


def duration_text(seconds: float) -> str:
    """Return seconds as ``2m30s``; what this gives, `testbed.cli.options.seconds_of` takes."""
    whole = int(seconds)
    if seconds != whole:
        return f"{seconds:g}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else ""]
    return "".join(parts) + (f"{left}s" if left or not whole >= 60 else "")


def patch_arguments(patches: Sequence[Path]) -> list[str]:
    """Return the options that apply `patches`."""
    return [word for path in patches for word in ("--patch", shown_path(path))]


def stress_command(harness: "Harness", named: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the argv that runs this again, in any folder, without what is a default.

    Args:
        harness: what runs.
        named: what commands call it.
        values: options by name.
    """
    command = ["testbed", "stress", named]
    paths = {one.name for one in harness.options if one.path}
    defaults = {**STRESS_DEFAULTS, **{one.name: one.default for one in harness.options}}
    for name, default in defaults.items():
        value, flag = values[name], f"--{name.replace('_', '-')}"
        if name == "duration":
            command += [flag, duration_text(value)]
        elif name == "patches":
            command += patch_arguments(value)
        elif isinstance(value, bool):
            if value != bool(default):
                command.append(flag if value else flag.replace("--", "--no-", 1))
        elif name in ALWAYS or (value is not None and value != default):
            command += [flag, _of_any_folder(str(value), name in paths)]
    return tuple(command)


def _of_any_folder(value: str, is_path: bool) -> str:
    """Return the value of an option; one that is the path of something is so from any folder."""
    there = (is_path or "/" in value) and value and Path(value).exists()
    return shown_path(Path(value)) if there else value


def with_command(summary: Summary, command: tuple[str, ...]) -> Summary:
    """Return `summary` with `command` as the way to run it, and its findings, again."""
    findings = tuple(structs.replace(finding, command=command) for finding in summary.findings)
    return structs.replace(summary, command=command, findings=findings)
