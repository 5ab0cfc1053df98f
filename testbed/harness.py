"""What a stress harness is: a Python file with a docstring, options, C sources and three functions.

A harness file defines::

    OPTIONS = (
        Option("callers", 4, "Tasks that call.", minimum=1),
        Option("lock", "mutex", "What they hold.", choices=("mutex", "rwsem", "busted")),
    )
    SOURCES = ("my_tasks.c",)          # beside the file
    LIBRARY = "libz.so.1"              # text to load, or None
    IMAGE = {"traced": 100}            # what else text has, see build_image()

    def setup(run): ...                # fill tables, start tasks
    def counters(run): ...             # what proves that something was tested
    def check(run): ...                # claims about the end, as raised `Violation`s

or it declares scenarios, see testbed.scenario: then each of them is a harness.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from random import Random
from types import ModuleType
from typing import TYPE_CHECKING, Any

from testbed.errors import TestbedError
from testbed.kinds import Kind
from testbed.paths import found_path, project_root

if TYPE_CHECKING:
    from testbed.machine import Machine
    from testbed.scenario.model import Scenario
    from testbed.text.image import Image

Counters = dict[str, "int | float"]


class HarnessError(TestbedError):
    """There is no such harness, or its file cannot be used."""


class Violation(Exception):
    """A claim about the end of a run is false.

    Args:
        kind: the bug class.
        sentence: what was found, with its values.
        values: named as testbed.kinds says for the kind.
    """

    def __init__(self, kind: Kind, sentence: str, **values: int) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.values = values


@dataclass(frozen=True)
class Option:
    """An option of one harness.

    Attributes:
        name: as in Python; the command line has dashes for underscores.
        default: also gives the type.
        help: one sentence, with the unit.
        minimum, maximum: inclusive, None = no bound.
        choices: the only values that there are, in the order of the help; empty = any.
        path: a value without a slash may be the path of a file or folder, too.
    """

    name: str
    default: int | float | bool | str | None
    help: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    path: bool = False

    def __post_init__(self) -> None:
        """Its default is one of its choices."""
        self.check(self.default)

    @property
    def type(self) -> type:
        """The type of its values."""
        return str if self.default is None else type(self.default)

    def check(self, value: object) -> None:
        """Refuse what is none of the choices: it may come from a file, too.

        Raises:
            HarnessError: the sentence says what there is.
        """
        if self.choices and value not in self.choices:
            raise HarnessError(f"{self.name}={value}: there are {', '.join(self.choices)}")


@dataclass(frozen=True)
class Harness:
    """A loaded harness file, or a scenario.

    Attributes:
        image: what its text has beside the library: arguments of `build_image`.
        cpus: how many it needs at least, and gets by default; None = any number.
        expect: the verdict that is expected, "held" or "violated".
        scenario: what it was made of, if it is one.
    """

    name: str
    path: Path
    title: str
    claim: str
    options: tuple[Option, ...]
    sources: tuple[Path, ...]
    library: str | None
    config: Mapping[str, Any]
    setup: Callable[[Run], None]
    counters: Callable[[Run], Counters]
    check: Callable[[Run], None]
    choose_library: Callable[[Mapping[str, Any]], str | None]
    image: Mapping[str, int] = field(default_factory=dict)
    cpus: int | None = None
    expect: str = "held"
    scenario: Scenario | None = None


@dataclass
class Run:
    """A run under way, as a harness sees it.

    Attributes:
        machine: booted.
        image: its text.
        options: values of the harness's own options, by name.
        cpus: CPUs of the machine.
        random: the seeded source of every choice made in Python.
        state: the harness's own.
    """

    machine: Machine
    image: Image
    options: Mapping[str, Any]
    cpus: int
    random: Random
    state: dict[str, Any] = field(default_factory=dict)


def stress_folder() -> Path:
    """Return the folder of the project's own harnesses."""
    return project_root() / "stress"


def harnesses() -> list[Harness]:
    """Return the project's own harnesses and scenarios, by name."""
    return sorted(_own().values(), key=lambda harness: harness.name)


def _own() -> dict[str, Harness]:
    paths = sorted(stress_folder().glob("*.py"))
    return {harness.name: harness for path in paths for harness in _all_of(path)}


def load(name: str) -> Harness:
    """Load a harness or scenario by name, or by the path of its file.

    Args:
        name: one of the project's own; or a Python file; or ``FILE.py::NAME``, one of the
            scenarios of a file.

    Raises:
        HarnessError: there is none, or its file lacks something.
    """
    given, _, chosen = name.partition("::")
    if not given.endswith(".py"):
        path = stress_folder() / f"{given}.py"
        own = {} if path.is_file() else _own()
        if given in own and not chosen:
            return own[given]
        if not path.is_file():
            raise HarnessError(_unknown(given))
    else:
        path = found_path(given)
        if not path.is_file():
            raise HarnessError(f"{path}: no such file; a harness is a name or a Python file")
    return _one_of(path.resolve(), chosen)


def _one_of(path: Path, chosen: str) -> Harness:
    found = _all_of(path)
    if not chosen and len(found) == 1:
        return found[0]
    names = [harness.name for harness in found]
    if not chosen:
        raise HarnessError(
            f"{path.name}: it has {len(found)} scenarios: say which, for example "
            f"{path.name}::{names[0]}"
        )
    if chosen not in names:
        raise HarnessError(f"{path.name}::{chosen}: it has {', '.join(names)}")
    return found[names.index(chosen)]


def _all_of(path: Path) -> list[Harness]:
    """Return the harness that a file is, or a harness for each scenario that it declares."""
    from testbed.scenario.harness import harness_of
    from testbed.scenario.model import Scenario

    module = _module_of(path)
    scenarios = [value for value in vars(module).values() if isinstance(value, Scenario)]
    if not scenarios:
        return [_harness_of(path, module)]
    return [harness_of(one, path) for one in dict.fromkeys(scenarios)]


def _unknown(name: str) -> str:
    names = [harness.name for harness in harnesses()]
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    return f"{name}: no such harness; {hint}"


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"testbed_harness_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise HarnessError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except TestbedError:
        raise
    except (Exception, SystemExit) as error:
        raise HarnessError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def _harness_of(path: Path, module: ModuleType) -> Harness:
    missing = [name for name in ("setup", "counters") if not callable(getattr(module, name, None))]
    if missing or not module.__doc__:
        what = " and ".join(f"{name}(run)" for name in missing) or "a docstring that states a claim"
        raise HarnessError(f"{path}: no @scenario in it, and a harness needs {what}")
    sources = tuple(path.parent / name for name in getattr(module, "SOURCES", ()))
    for source in sources:
        if not source.is_file():
            raise HarnessError(f"{path}: SOURCES names {source.name}, which is not beside it")
    lines = module.__doc__.strip().splitlines()
    library = getattr(module, "LIBRARY", None)
    return Harness(
        name=path.stem,
        path=path,
        title=lines[0],
        claim=getattr(module, "CLAIM", lines[0]),
        options=tuple(getattr(module, "OPTIONS", ())),
        sources=sources,
        library=library,
        config=dict(getattr(module, "CONFIG", {})),
        image=dict(getattr(module, "IMAGE", {})),
        setup=module.setup,
        counters=module.counters,
        check=getattr(module, "check", lambda _run: None),
        choose_library=getattr(module, "choose_library", lambda _options: library),
    )
