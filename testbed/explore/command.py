"""The options of an exploration, with the command line that does it again."""

from collections.abc import Sequence
from pathlib import Path

from testbed.commands import duration_text, patch_arguments
from testbed.explore.run import ExploreOptions
from testbed.explore.search import SearchOptions
from testbed.explore.strategies import AUTO, DEFAULT_BUFFER, DEFAULT_DURATION_S, DEFAULT_MAX_STEPS


def options_with_command(
    named: str, search: SearchOptions, patches: Sequence[Path] = (), defines: Sequence[str] = (),
    cpus: int = 0, show_pass: bool = False, preempt: str = "",
) -> ExploreOptions:  # fmt: skip
    """Return options that know their command.

    Args:
        named: the target, as a command line names it.
        search: how to search.
        patches: applied to the C sources first.
        defines: macros of the target's own files.
        cpus: of the explored machine; 0 = as many as the target needs.
        show_pass: show a run that passes.
        preempt: where tasks lose their CPU; "" = as the target says.
    """
    of_run = arguments_of_run(search, patches, defines, cpus, preempt)
    arguments = (*arguments_of_search(search), *of_run)
    return ExploreOptions(
        search=search,
        patches=tuple(patches),
        defines=tuple(defines),
        cpus=cpus,
        preempt=preempt,
        show_pass=show_pass,
        shown=_shown(arguments),
        command=("testbed", "explore", named, *arguments),
        same_run=of_run,
    )


def arguments_of_search(search: SearchOptions) -> tuple[str, ...]:
    """Return the arguments that search in the same way again, defaults left out."""
    arguments = ["--seed", str(search.seed)]
    for flag, value, default in (
        ("--strategy", search.strategy, AUTO),
        ("--duration", duration_text(search.duration_s), duration_text(DEFAULT_DURATION_S)),
        ("--executions", search.runs, 0),
        ("--depth", search.depth, 0),
        ("--preemption-bound", search.preemption_bound, None),
        ("--delay-bound", search.delay_bound, None),
    ):
        if value != default:
            arguments += [flag, str(value)]
    for flag, wanted in (("--all", search.all_findings), ("--check", search.check)):
        arguments += [flag] if wanted else []
    return tuple(arguments)


def arguments_of_run(
    search: SearchOptions, patches: Sequence[Path], defines: Sequence[str], cpus: int,
    preempt: str = "",
) -> tuple[str, ...]:
    """Return the arguments that a single run depends on, defaults left out."""
    arguments: list[str] = []
    for flag, value, default in (
        ("--buffer", search.buffer, DEFAULT_BUFFER),
        ("--max-steps", search.max_steps, DEFAULT_MAX_STEPS),
        ("--ticks", search.ticks, 0),
        ("--cpus", cpus, 0),
        ("--preempt", preempt, ""),
    ):
        if value != default:
            arguments += [flag, str(value)]
    arguments += [] if search.races else ["--no-races"]
    for define in defines:
        arguments += ["-D", define]
    return (*arguments, *patch_arguments(patches))


def _shown(arguments: Sequence[str]) -> dict[str, str]:
    """Return arguments as option and value, as reports show them."""
    shown: dict[str, str] = {}
    name = ""
    for word in arguments:
        if word.startswith("-") and not word.lstrip("-").isdigit():
            name = word.lstrip("-")
            shown.setdefault(name, "yes")
        else:
            shown[name] = word if shown[name] == "yes" else f"{shown[name]} {word}"
    shown.pop("seed")
    return shown
