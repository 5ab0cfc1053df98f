"""The fixtures ``stress`` and ``machine``: the real machine as part of a test."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from testbed import __version__
from testbed.build import Core, Request, build
from testbed.cli.stress import harness_command
from testbed.commands import STRESS_DEFAULTS, stress_command, with_command
from testbed.config import MachineConfig, usable_cores
from testbed.errors import MachineLost
from testbed.findings import Summary, Verdict, environment
from testbed.harness import Harness, HarnessError, load
from testbed.layout import Layout
from testbed.machine import Machine
from testbed.report.model import RunFacts
from testbed.report.text import finding_text
from testbed.runs import RunFolder
from testbed.scenario.harness import harness_of
from testbed.scenario.model import Scenario
from testbed.stress import RunOptions, clock_of, findings_of, run
from testbed.testing.result import Stressed
from testbed.testing.virtual import is_in_module, patches_of, with_commands
from testbed.text.image import IMPORT_PREFIX, Image, build_image

if TYPE_CHECKING:
    from testbed.pytest_plugin import Context

DEFAULT_DURATION_S = 2.0
DEFAULT_CPUS = 2


def stress(
    context: Context,
    harness: Scenario | str | Path,
    *,
    duration: float | None = None,
    cpus: int | None = None,
    seed: int | None = None,
    bug: str | Sequence[str] = (),
    patches: Sequence[str | Path] = (),
    **options: Any,
) -> Stressed:
    """Run a harness on the real machine.

    Args:
        context: of the test.
        harness: a scenario; or a Python file with a harness or scenarios, as seen from the test's
            file; or the name of one of the project.
        duration: how long, s.
        cpus: of the machine.
        seed: of every random choice; that of the session by default.
        bug: names of bugs of the zoo that are put back.
        patches: files, as seen from the test's file, applied to the C sources.
        options: others of ``testbed stress``, and the harness's own; with ``_`` for ``-``.

    Raises:
        TestbedError: it cannot be run; one sentence tells why.
        KeyboardInterrupt: the user stopped it.
    """
    __tracebackhide__ = True
    marked = context.marked
    found, named, addressable = _harness(context, harness)
    given = options | {
        "duration": duration or marked.get("duration", DEFAULT_DURATION_S),
        "seed": marked.get("seed", context.settings.seed) if seed is None else seed,
        "cpus": cpus or marked.get("cpus") or found.cpus or DEFAULT_CPUS,
        "patches": tuple(patches_of(context.folder, bug, patches)),
    }
    values = _checked(found, named, given)
    folder = None
    if context.settings.runs is not None:
        folder = RunFolder.create(found.name, context.settings.runs)
    wanted = RunOptions.of(found, values)
    with context.pool.taken(min(wanted.cores, wanted.cpus)):
        summary = run(found, wanted, folder=folder)
    if summary.verdict is Verdict.UNKNOWN and summary.reason.startswith("interrupted after"):
        raise KeyboardInterrupt
    summary = with_command(summary, stress_command(found, named, values))
    return _told(context, summary, folder, addressable)


def _harness(context: Context, given: Scenario | str | Path) -> tuple[Harness, str, bool]:
    """Return a harness, what commands call it, and whether they can."""
    if isinstance(given, Scenario):
        path = Path(given.file) if Path(given.file).is_file() else context.item.path
        named = f"{context.named_path(path)}::{given.name}"
        return harness_of(given, path), named, is_in_module(given, path)
    file, separator, name = str(given).partition("::")
    if file.endswith(".py") and (context.folder / file).is_file():
        file = context.named_path(context.folder / file)
    return load(f"{file}{separator}{name}"), f"{file}{separator}{name}", True


def _checked(harness: Harness, named: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run by name, checked as those of ``testbed stress`` are.

    Raises:
        HarnessError: there is no such option, or not such a value.
    """
    known = {**STRESS_DEFAULTS, **{option.name: option.default for option in harness.options}}
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise HarnessError(f"{named}: no option {name}; {hint}")
    argv = stress_command(harness, named, known | dict(given))[3:]
    try:
        values = harness_command(harness, named).make_context(named, list(argv)).params
    except click.ClickException as error:
        told = error.format_message()
        raise HarnessError(f"{shlex.join(('testbed', 'stress', named, *argv))}: {told}") from error
    return {name: value for name, value in values.items() if name not in ("runs", "as_json")}


def _told(
    context: Context, summary: Summary, folder: RunFolder | None, addressable: bool
) -> Stressed:
    """Say how the run is done again, and have it shown if the test fails."""
    here = context.command("--testbed-seed", str(summary.seed))
    if not addressable:
        summary = with_commands(summary, here)
    stressed = Stressed(summary, here=here if summary.findings and addressable else ())
    if folder is not None:
        stressed.summary = folder.finish(summary)
        stressed.report = "".join(str(folder.finding_path(one)) for one in summary.findings[:1])
    context.show(stressed, **stressed.noted())
    return stressed


def boot(
    booted: ExitStack,
    context: Context,
    *sources: str | Path,
    bug: str | Sequence[str] = (),
    patches: Sequence[str | Path] = (),
    library: str | None = None,
    core: Core | None = None,
    **config: Any,
) -> Machine:
    """Boot a real machine with the assembled functions as its text.

    Args:
        booted: ends it.
        context: of the test.
        sources: C files with tasks, as seen from the test's file.
        bug: names of bugs of the zoo that are put back.
        patches: files, as seen from the test's file, applied to the C sources.
        library: a shared library that is loaded into the text, such as "libz.so.1".
        core: one that is built already; then the four above do not matter.
        config: values of `MachineConfig`; 2 CPUs and the seed of the session by default.

    Raises:
        TestbedError: it cannot be built or booted; one sentence tells why.
    """
    __tracebackhide__ = True
    defaults = {"cpus": DEFAULT_CPUS, "seed": context.settings.seed}
    marked = {name: context.marked.get(name, default) for name, default in defaults.items()}
    chosen = MachineConfig(**{**marked, **config})
    if core is None:
        folder = context.folder
        core = build(Request(patches=tuple(patches_of(folder, bug, patches)),
                             extra=tuple(folder / source for source in sources)))  # fmt: skip
    booted.enter_context(context.pool.taken(min(chosen.cores, chosen.cpus, usable_cores())))
    image = image_for(core, library)
    machine = booted.enter_context(Machine(core, image, chosen))
    context.show(Booted(machine, image, context.item.name, clock_of(machine)))
    return machine


@dataclass(frozen=True)
class Booted:
    """A machine of a test; what it has found is shown if the test fails."""

    machine: Machine
    image: Image
    test: str
    clock: tuple[int, int]

    def section(self) -> tuple[str, str] | None:
        """Return a title and what was found, None if nothing was or the machine has ended."""
        core, config = self.machine.core, self.machine.config
        facts = RunFacts(
            harness=self.test, claim="", seed=config.seed, options={"cpus": str(config.cpus)},
            command=("pytest", "-k", self.test), version=__version__, build_id=core.build_id,
            environment=environment(core.compiler),
        )  # fmt: skip
        try:
            findings = findings_of(self.machine, self.image, facts, self.clock)
        except MachineLost:
            return None
        texts = [finding_text(finding) for finding in findings]
        return (f"testbed: {self.test}", "\n".join(texts)) if texts else None


def image_for(core: Core, library: str | None = None) -> Image:
    """Return the assembled functions, and those of a library, as `core` runs them."""
    symbols = Layout.of(core).symbols().items()
    imports = {name: one.address for name, one in symbols if name.startswith(IMPORT_PREFIX)}
    return build_image(library=library, imports=imports)
