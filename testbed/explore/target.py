"""What is explored: a C file, or a scenario, by its path or by its name in ``stress/``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from testbed.build import Core, Flavour, Request, build
from testbed.errors import TestbedError
from testbed.harness import Harness, HarnessError, harnesses, load, stress_folder
from testbed.paths import found_path, shown_path, shown_target
from testbed.scenario.model import Scenario

# What makes a C file one that can be explored by itself.
ENTRY = re.compile(r"^\s*(?:int\s+main\s*\(|TASK\s*\()|\bint\s+main\s*\(", re.MULTILINE)
COMMENT = re.compile(r"\A(?:\s*//[^\n]*\n)*\s*/\*+(.*?)\*/", re.DOTALL)
PREEMPT = re.compile(r"^EXPLORE_PREEMPT\(PREEMPT_(NONE|FULL)\);", re.MULTILINE)
MACRO = re.compile(r"[A-Za-z_]\w*(=.*)?", re.DOTALL)


class TargetError(TestbedError):
    """There is nothing of that name to explore, or it cannot be explored."""


@dataclass(frozen=True)
class Target:
    """What to explore.

    Attributes:
        name: as titles show it.
        named: as commands call it.
        claim: what is claimed of it, a sentence.
        sources: C files to build beside the stock ones.
        scenario: the scenario, None for a C file.
        preempt: where its tasks lose their CPU, one of `testbed.config.Preempt`.
    """

    name: str
    named: str
    claim: str
    sources: tuple[Path, ...]
    scenario: Scenario | None = None
    preempt: str = "full"


def find_target(given: str) -> Target:
    """Return what `given` names.

    Args:
        given: ``FILE.c``; ``FILE.py`` or ``FILE.py::NAME`` with scenarios; or the name of a C file
            or scenario of the project.

    Raises:
        TargetError: there is no such thing, or it cannot be explored.
    """
    if given.endswith(".c"):
        path = found_path(given)
        if not path.is_file():
            raise TargetError(f"{given}: no such C file")
        return _of_file(path)
    if given.partition("::")[0].endswith(".py"):
        return target_of(load(given), shown_target(given))
    examples = own_examples()
    if given in examples:
        return _of_file(examples[given])
    try:
        found = load(given)
    except HarnessError as error:
        raise TargetError(_unknown(given)) from error
    return target_of(found, given)


@cache
def own_examples() -> dict[str, Path]:
    """Return the project's own C files that can be explored, by name."""
    paths = sorted(stress_folder().rglob("*.c"))
    return {path.stem: path for path in paths if ENTRY.search(path.read_text(errors="replace"))}


def targets() -> list[tuple[str, str]]:
    """Return name and claim of all that the project has to explore."""
    found = {name: claim_of(path) for name, path in own_examples().items()}
    found |= {one.name: one.claim for one in harnesses()
              if one.scenario is not None}
    return sorted(found.items())


def _of_file(path: Path) -> Target:
    named = shown_path(path)
    said = PREEMPT.search(path.read_text(errors="replace"))
    preempt = said[1].lower() if said else "full"
    return Target(path.stem, named, claim_of(path), (path,), preempt=preempt)


def claim_of(path: Path) -> str:
    """Return the first sentence of a C file's first comment, else what any program claims."""
    found = COMMENT.match(path.read_text(errors="replace"))
    if found:
        lines = [line.strip().lstrip("*").strip() for line in found[1].splitlines()]
        paragraph = "\n".join(lines).strip().split("\n\n")[0].replace("\n", " ")
        first = re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0].rstrip(".:")
        if first:
            return f"{first[0].upper()}{first[1:]}."
    return f"No schedule of {path.name} fails."


def target_of(harness: Harness, given: str) -> Target:
    """Return what a harness has to explore.

    Args:
        harness: made of a scenario.
        given: what commands call it.

    Raises:
        TargetError: it was made of something else.
    """
    if harness.scenario is None:
        raise TargetError(
            f"{given}: a harness of the real machine, which runs against the clock: use "
            f"testbed stress {given}; what can be explored are C files and scenarios"
        )
    return Target(harness.name, given, harness.claim, harness.sources, harness.scenario,
                  harness.scenario.preempt)


def _unknown(given: str) -> str:
    names = [name for name, _ in targets()]
    close = get_close_matches(given, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "testbed explore --list shows what there is"
    return f"{given}: nothing of that name to explore; {hint}"


def build_target(target: Target, patches: tuple[Path, ...], defines: tuple[str, ...]) -> Core:
    """Return the core that explores `target`.

    Raises:
        BuildError: it does not compile; what the compiler wrote is part of the message.
    """
    for define in defines:
        if not MACRO.fullmatch(define):
            raise TargetError(f"-D {define}: a macro is NAME or NAME=VALUE")
    return build(Request(Flavour.VIRTUAL, patches, target.sources, defines))
