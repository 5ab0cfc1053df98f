"""The pytest plugin: fixtures that look for races, and reports of them wherever pytest reports.

It is loaded into every session, so it imports nothing heavy: what fixtures need comes with the
first use of one. It works in each process of pytest-xdist as it does without.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pytest

from testbed.errors import TestbedError

if TYPE_CHECKING:
    from testbed.machine import Machine
    from testbed.testing.result import Explored, Stressed
    from testbed.tokens import TokenPool

SEEDS = 2**64

Result = TypeVar("Result")

MARKER = (
    "testbed(cpus=, seed=, duration=, strategy=, executions=): what the fixtures explore, stress "
    "and machine take when a test says nothing else"
)
MARKED = ("cpus", "seed", "duration", "strategy", "executions")


@dataclass(frozen=True)
class Settings:
    """What all tests of a session have in common.

    Attributes:
        seed: of every random choice that says no other.
        replay: a schedule or report, "" = search.
        runs: gets a folder for each run, None = none is kept.
        workers: processes that run tests.
    """

    seed: int
    replay: str
    runs: Path | None
    workers: int


SETTINGS = pytest.StashKey[Settings]()
POOL = pytest.StashKey["TokenPool"]()
SHOWN = pytest.StashKey[list["Shown"]]()


class Shown(Protocol):
    """What a test that fails shows."""

    def section(self) -> tuple[str, str] | None:
        """Return a title and a report, None if there is nothing to show."""


@dataclass(frozen=True)
class Context:
    """What a fixture knows of the test that uses it.

    Attributes:
        item: the test.
        settings: of the session.
        marked: values of the test's marker, by name.
        pool: tokens for cores.
    """

    item: pytest.Item
    settings: Settings
    marked: dict[str, Any]
    pool: TokenPool

    @property
    def folder(self) -> Path:
        """Where the test's file is."""
        return self.item.path.parent

    def shown_path(self, path: Path) -> str:
        """Return a path as a command line has it, in the folder that pytest was called in."""
        start = self.item.config.invocation_params.dir
        near = os.path.relpath(path, start)
        return str(path) if near.startswith(os.pardir) or Path.cwd() != start else near

    def named_path(self, path: Path) -> str:
        """Return a path as the command of a run has it: in any folder, where reports are kept."""
        from testbed import paths

        return self.shown_path(path) if self.settings.runs is None else paths.shown_path(path)

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return argv that runs this test alone."""
        _, separator, rest = self.item.nodeid.partition("::")
        return ("pytest", f"{self.shown_path(self.item.path)}{separator}{rest}", *arguments)

    def show(self, shown: Shown, **noted: str) -> None:
        """Have something shown if the test fails, and note properties of the test in any case."""
        self.item.stash.setdefault(SHOWN, []).append(shown)
        self.item.user_properties += [(f"testbed_{name}", one) for name, one in noted.items()]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("testbed", "races (testbed)")
    group.addoption("--testbed-seed", metavar="N",
                    help="Seed of every random choice; a new one by default.")  # fmt: skip
    group.addoption("--testbed-replay", metavar="SCHEDULE|REPORT", default="",
                    help="Instead of a search, explore does the one run of a schedule, or of a "
                         "report.")  # fmt: skip
    group.addoption("--testbed-runs", metavar="DIR", type=Path,
                    help="Keep a folder with a report of each run; none by default.")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker, and draw the seed unless it is given."""
    config.addinivalue_line("markers", MARKER)
    worker: dict[str, Any] = getattr(config, "workerinput", {})
    runs: Path | None = config.getoption("--testbed-runs")
    if not worker and config.getoption("--testbed-replay"):
        _check_replay(config.getoption("--testbed-replay"), runs)
    config.stash[SETTINGS] = Settings(
        seed=worker["testbed_seed"] if worker else _seed(config.getoption("--testbed-seed")),
        replay=config.getoption("--testbed-replay"),
        runs=None if runs is None else config.invocation_params.dir / runs,
        workers=int(worker.get("workercount", 1)),
    )


def _seed(given: str | None) -> int:
    if given is None:
        return int.from_bytes(os.urandom(4), "little")
    if not given.isdecimal() or int(given) >= SEEDS:
        raise pytest.UsageError(f"--testbed-seed {given}: a seed is a number from 0 to {SEEDS - 1}")
    return int(given)


def _check_replay(given: str, runs: Path | None) -> None:
    from testbed.testing.virtual import run_of

    try:
        run_of(given, runs)
    except TestbedError as error:
        raise pytest.UsageError(f"--testbed-replay {given}: {error}") from error


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist the seed of the session."""
    node.workerinput["testbed_seed"] = node.config.stash[SETTINGS].seed


def pytest_report_header(config: pytest.Config) -> str:
    """Say the seed."""
    settings = config.stash[SETTINGS]
    replay = f", replay {settings.replay}" if settings.replay else ""
    return f"testbed: seed {settings.seed}{replay}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the reports of races to that of a failed test; say in a sentence what cannot be done."""
    raised = call.excinfo
    shown = list(_of_exception(raised.value)) if raised is not None else []
    if raised is not None and isinstance(raised.value, TestbedError) and _is_ours(item):
        sentence = pytest.fail.Exception(str(raised.value), pytrace=False)
        call.excinfo = pytest.ExceptionInfo.from_exception(sentence.with_traceback(raised.tb))
    try:
        report = yield
    finally:
        call.excinfo = raised
    if report.failed:
        sections = [one.section() for one in item.stash.get(SHOWN, [])]
        for title, text in [*shown, *(section for section in sections if section is not None)]:
            # A section of the failure itself goes wherever that does: into JUnit's XML, too.
            add_section = getattr(report.longrepr, "addsection", None)
            if add_section is not None:
                add_section(title, text)
            else:
                report.sections.append((title, text))
    return report


def _is_ours(item: pytest.Item) -> bool:
    """Tell whether a test uses a fixture of this plugin."""
    return "_testbed" in getattr(item, "fixturenames", ())


def _of_exception(raised: BaseException) -> Iterator[tuple[str, str]]:
    """Yield title and text of what `testbed.testing.check` raised, and keep it out of its notes."""
    if isinstance(raised, BaseExceptionGroup):
        for one in raised.exceptions:
            yield from _of_exception(one)
    section = getattr(raised, "testbed_section", None)
    if section is not None:
        notes: list[str] = getattr(raised, "__notes__", [])
        notes[:] = [note for note in notes if note != section[1]]
        yield section


@pytest.fixture
def _testbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """What the fixtures below know of a test."""
    from testbed.tokens import TokenPool

    config, item = request.config, request.node
    if POOL not in config.stash:
        folder = tmp_path_factory.getbasetemp()
        # Those of the processes of pytest-xdist lie in one folder.
        folder = folder.parent if hasattr(config, "workerinput") else folder
        config.stash[POOL] = TokenPool(folder / "testbed-cores", len(os.sched_getaffinity(0)))
    marked: dict[str, Any] = {}
    for marker in item.iter_markers("testbed"):
        if marker.args:
            raise TestbedError(f"@pytest.mark.testbed{marker.args}: its values have names: cpus=2")
        for name in marker.kwargs:
            _check_marked(name)
        marked = {**marker.kwargs, **marked}
    return Context(item, config.stash[SETTINGS], marked, config.stash[POOL])


def _check_marked(name: str) -> None:
    if name not in MARKED:
        close = get_close_matches(name, MARKED, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(MARKED)}"
        raise TestbedError(f"@pytest.mark.testbed({name}=...): no such value; {hint}")


@dataclass(frozen=True, repr=False)
class Fixture(Generic[Result]):
    """A function with what a fixture knows of the test, short where pytest shows it."""

    name: str
    function: Callable[..., Result]
    context: Context

    def __call__(self, *arguments: Any, **options: Any) -> Result:
        """Call the function."""
        __tracebackhide__ = True
        return self.function(self.context, *arguments, **options)

    def __repr__(self) -> str:
        return f"<{self.name}>"


@pytest.fixture
def explore(_testbed: Context) -> Callable[..., Explored]:
    """Search the schedules of a scenario or C file: see `testbed.testing.virtual.explore`."""
    from testbed.testing.virtual import explore

    return Fixture("explore", explore, _testbed)


@pytest.fixture
def stress(_testbed: Context) -> Callable[..., Stressed]:
    """Run a harness or scenario on the real machine: see `testbed.testing.real.stress`."""
    from testbed.testing.real import stress

    return Fixture("stress", stress, _testbed)


@pytest.fixture
def machine(_testbed: Context) -> Iterator[Callable[..., Machine]]:
    """Boot real machines that end with the test: see `testbed.testing.real.boot`."""
    from testbed.testing.real import boot

    with ExitStack() as booted:
        yield Fixture("machine", partial(boot, booted), _testbed)
