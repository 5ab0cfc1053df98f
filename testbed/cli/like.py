"""``testbed explore --like``: what a report says of its run, and a search for the same thing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from testbed.errors import TestbedError
from testbed.findings import Finding
from testbed.harness import Harness, load
from testbed.runs import RunFolder, find_report, read_report

# Scenarios and programs that are proposed at most.
MOST_NEAR = 3

# What only a scenario with probes goes through, by the names of its files.
PROBES = re.compile(r"workers/(kernel/(kprobe|text|insn_slot|probe)|x86/|tasks/)")
HEADER = re.compile(r"#include <kernel/(\w+)\.h>")


class LikeError(TestbedError):
    """A report with nothing to look for, or of something that cannot be explored."""


@dataclass(frozen=True)
class Sources:
    """What a report was a run of.

    Attributes:
        finding: what to look for.
        named: what to explore, as a command names it; "" if that cannot be explored.
        values: options of its run that a search of the explorer has as well, by name.
        harness: of the real machine, None for a run of the explorer.
    """

    finding: Finding
    named: str
    values: dict[str, Any]
    harness: Harness | None = None


def run_like(wanted: str, target: str | None, values: dict[str, Any]) -> int:
    """Explore for a finding like the one of a report, say how it went, and write a report.

    Args:
        wanted: names the report.
        target: what to explore instead of what the report was a run of.
        values: options of the command line, by name.
    """
    from testbed.cli.explore import first_line, options_of
    from testbed.cli.output import announce, progress_display
    from testbed.cli.stress import logging_to
    from testbed.explore.like import explore_like, races_matter
    from testbed.explore.target import find_target

    runs, as_json = values.pop("runs"), values.pop("as_json")
    path = find_report(wanted, runs)
    sources = sources_of(path)
    if not target and not sources.named:
        raise LikeError(_nothing_to_explore(sources, wanted))
    found = find_target(target or sources.named)
    values = merged(values, sources.values)
    values["races"] = values["races"] and races_matter(sources.finding)
    options = options_of(found.named, values)
    command = (*options.command[:3], "--like", str(path.absolute()), *options.command[3:])
    first = f"{first_line(target or sources.named, options)}  like {sources.finding.signature}"
    click.echo(first, err=as_json)
    click.echo(f"looking for {sources.finding.title}", err=as_json)
    folder = RunFolder.create(f"explore-{found.name}", runs)
    folder.event("start", command=list(command))
    with logging_to(folder) as logger, progress_display(as_json) as display:
        logger.info(first)
        summary = explore_like(
            found, replace(options, command=command), sources.finding, display, folder
        )
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    return announce(summary, folder, as_json)


def merged(values: dict[str, Any], of_report: dict[str, Any]) -> dict[str, Any]:
    """Return options with those of the report where the command line says nothing else."""
    from testbed.explore.strategies import DEFAULT_BUFFER, DEFAULT_MAX_STEPS

    defaults = {"buffer": DEFAULT_BUFFER, "max_steps": DEFAULT_MAX_STEPS, "ticks": 0, "cpus": None}
    taken = {
        name: of_report[name] for name, default in defaults.items()
        if name in of_report and values[name] == default
    }
    for name in ("patches", "defines"):
        taken[name] = tuple(dict.fromkeys((*of_report.get(name, ()), *values[name])))
    return values | taken


def sources_of(path: Path) -> Sources:
    """Return what the report at `path` was a run of.

    Raises:
        LikeError: it has no finding, or several.
    """
    document = read_report(path)
    findings = (document,) if isinstance(document, Finding) else document.findings
    if not findings:
        raise LikeError(f"{path}: no finding in it, so there is nothing to look for")
    if len(findings) > 1:
        names = ", ".join(finding.signature for finding in findings)
        raise LikeError(f"{path}: it has {len(findings)} findings: name one of them: {names}")
    finding = findings[0]
    command = finding.command
    if command[:2] == ("testbed", "explore"):
        from testbed.cli.replay import arguments_of

        named, values = arguments_of(command, None, False)
        return Sources(finding, named, values)
    if command[:2] == ("testbed", "stress") and len(command) > 2:
        return _of_stress(finding)
    raise LikeError(f"{path}: {' '.join(command)}: not a run of testbed stress or explore")


def _of_stress(finding: Finding) -> Sources:
    from testbed.cli.replay import check_files
    from testbed.cli.stress import stress as group

    check_files(finding.command)
    named, arguments = finding.command[2], list(finding.command[3:])
    harness = load(named)
    with click.Context(group, info_name="stress") as parent:
        found = group.get_command(parent, named)
        assert found is not None
        with found.make_context(named, arguments, parent=parent) as context:
            values = {"patches": tuple(context.params["patches"])}
    return Sources(finding, named if harness.scenario is not None else "", values, harness)


def _nothing_to_explore(sources: Sources, wanted: str) -> str:
    assert sources.harness is not None
    name, near = sources.harness.name, near_to(sources.finding)
    if not near:
        return (
            f"{name}: a harness that runs against the clock; to look for its finding, say what to "
            f"explore, a C file or scenario: testbed explore FILE --like {wanted}"
        )
    others = f" (or {', '.join(near[1:])})" if near[1:] else ""
    return (
        f"{name}: a harness that runs against the clock; what goes the same ways and can be "
        f"explored is: testbed explore {near[0]} --like {wanted}{others}"
    )


def near_to(finding: Finding) -> list[str]:
    """Return own programs and scenarios that go where both sides of a finding were."""
    from testbed.explore.target import own_examples
    from testbed.harness import harnesses

    sides = [side for side in (finding.here, finding.other) if side is not None]
    files = [place.file for side in sides for place in side.stack if place.file]
    if any(PROBES.match(file) for file in files):
        functions = {place.function for side in sides for place in side.stack}
        scenarios = {
            one.name: {operation.name for operation in one.scenario.operations}
            for one in harnesses() if one.scenario is not None and one.scenario.probes
        }  # fmt: skip
        return _best({
            name: 1 + sum(any(word in function for function in functions) for word in operations)
            for name, operations in scenarios.items()
        })  # fmt: skip
    stems = {Path(file).stem for file in files}
    return _best({
        name: len(stems & set(HEADER.findall(path.read_text(errors="replace"))))
        for name, path in own_examples().items()
    })  # fmt: skip


def _best(scores: dict[str, int]) -> list[str]:
    near = sorted((-score, name) for name, score in scores.items() if score)
    return [name for _, name in near][:MOST_NEAR]
