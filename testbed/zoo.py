"""Real bugs are put back, one patch at a time: does a run find each of them, and as what?

``stress/zoo/NAME.patch`` breaks the core the way its history had it broken; ``NAME.toml`` beside
it says which harness shows the bug, which kinds of findings count, and what to expect. Silence
elsewhere is worth as much as this table.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from testbed import stress
from testbed.errors import TestbedError
from testbed.findings import Finding, Kind, Place, Summary, Verdict, place_of
from testbed.harness import Harness, load, stress_folder
from testbed.runs import RunFolder
from testbed.stress import Progress

__all__ = ["Bug", "Entry", "ZooError", "ZooResult", "entries", "look", "run", "zoo_folder"]


# One machine looks for so long, then another seed has its turn: a seed chooses what is probed, and
# not every choice can show every bug.
TURN_S = 5.0


class ZooError(TestbedError):
    """There is no such bug, or what lies beside its patch cannot be used."""


class Bug(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a bug: ``NAME.toml``.

    Attributes:
        title: one line, what is wrong.
        source: where it comes from, as the history of Linux calls it.
        expected: "hard" if a run on real hardware seldom shows it, with `reason`.
        kinds: kinds of findings that count as found.
        harness: which one shows it on the real machine, "" = none; `options` are its own, by name.
        explore: the file below ``stress`` that shows it to the explorer, "" = none.
        cpus: of the machine.
        budget_s: for how long it is worth to look, s.
        poke, tick_us, hang_ms: options of every run.
    """

    title: str
    source: str
    expected: Literal["found", "hard"]
    reason: str = ""
    kinds: tuple[Kind, ...]
    harness: str = ""
    explore: str = ""
    cpus: int
    budget_s: float
    poke: Literal["int3", "stop_machine"] = "int3"
    tick_us: int = 1000
    hang_ms: int = 10_000
    options: dict[str, int] = {}


@dataclass(frozen=True)
class Entry:
    """A bug of the zoo: its patch, and what is known of it."""

    name: str
    patch: Path
    bug: Bug

    @cached_property
    def harness(self) -> Harness:
        """The harness that shows it."""
        return load(self.bug.harness)

    def values(self, cpus: int | None, seed: int, duration_s: float) -> dict[str, Any]:
        """Return the options of a run that looks for it, by name, as a command line has them."""
        own = {option.name: option.default for option in self.harness.options}
        unknown = sorted(self.bug.options.keys() - own.keys())
        if unknown:
            raise ZooError(f"{self.name}: {self.bug.harness} has no option {unknown[0]}")
        return {
            **own, **self.bug.options, "cpus": cpus or self.bug.cpus, "seed": seed,
            "duration": duration_s, "poke": self.bug.poke, "tick_us": self.bug.tick_us,
            "hang_ms": self.bug.hang_ms, "cores": None, "pin": False, "patches": (self.patch,),
            "keep_going": False,
        }  # fmt: skip


class ZooResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of looking for one bug.

    Attributes:
        found: a finding was made, of a kind that counts.
        kind: of the finding, "" if there was none. Not found and yet a kind: it was another one.
        here, other: its two places, "" if there was none.
        expected: it is meant to be found; False: hard on real hardware, `reason` says why.
        hits: how often the finding came back.
        seconds: for how long machines ran until then.
        command: argv that runs it again.
        report: path of the finding's report, "" without one.
        reason: why it is hard, or why a run could not be judged.
    """

    name: str
    title: str
    source: str
    found: bool
    kind: str = ""
    here: str = ""
    other: str = ""
    expected: bool
    hits: int = 0
    seconds: float
    command: tuple[str, ...] = ()
    report: str = ""
    reason: str = ""


@dataclass(frozen=True)
class _Search:
    """What the searches of one run of the zoo have in common."""

    budget_s: float | None
    seed: int
    cpus: int | None
    runs: Path | None
    stopped: threading.Event


class _Stopped(Exception):
    """The user wants no more of it."""


def zoo_folder() -> Path:
    """Return the folder of the patches."""
    return stress_folder() / "zoo"


def entries(
    names: Sequence[str] = (), folder: Path | None = None, virtual: bool = False
) -> list[Entry]:
    """Return the bugs of these names, all that one machine can show without one.

    Args:
        names: of bugs.
        folder: where they are; `zoo_folder()` by default.
        virtual: those that the explorer can show, rather than the real machine.

    Raises:
        ZooError: there is none of a name, or one cannot be used.
    """
    folder = (folder or zoo_folder()).resolve()
    known = sorted(path.stem for path in folder.glob("*.patch"))
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise ZooError(f"{name}: no such bug in the zoo; {hint}")
    found = [_entry(folder / f"{name}.toml") for name in names or known]
    if names:
        return found
    return [entry for entry in found if (entry.bug.explore if virtual else entry.bug.harness)]


def _entry(path: Path) -> Entry:
    try:
        bug = msgspec.toml.decode(path.read_bytes(), type=Bug)
    except OSError as error:
        raise ZooError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except msgspec.DecodeError as error:
        raise ZooError(f"{path}: {error}") from error
    if bug.expected == "hard" and not bug.reason:
        raise ZooError(f"{path}: a bug that is hard to find needs a reason")
    if not bug.harness and not bug.explore:
        raise ZooError(f"{path}: a bug needs a harness, or a file to explore, that shows it")
    return Entry(path.stem, path.with_suffix(".patch"), bug)


def run(
    names: Sequence[str] = (),
    mode: str = "real",
    jobs: int = 1,
    budget_s: float | None = None,
    seed: int = 0,
    cpus: int | None = None,
    runs: Path | None = None,
    folder: Path | None = None,
    done: Callable[[ZooResult], None] = lambda _result: None,
) -> list[ZooResult]:
    """Look for each bug until it is found or its time is over.

    Args:
        names: of the bugs; all of them without one.
        mode: the machine to look on; "real".
        jobs: bugs to look for at the same time.
        budget_s: for each bug, s; None = as the bug says.
        seed: of every random choice.
        cpus: of each machine; None = as the bug says.
        runs: the folder of all runs, None for the usual one; each finding gets a run in it.
        folder: where the bugs are, see `entries`.
        done: called after each bug, in the order in which they end.

    Returns:
        One result for each bug, in the order of `names`.

    Raises:
        ZooError: an unknown bug.
        TestbedError: a patch does not apply, or no machine can run here.
    """
    if mode != "real":
        raise ZooError(f"mode {mode}: bugs are looked for on the real machine, mode real")
    chosen = entries(names, folder)
    for entry in chosen:
        if not entry.bug.harness:
            raise ZooError(
                f"{entry.name}: only the explorer shows it: "
                f"testbed explore stress/{entry.bug.explore} --patch {entry.patch}"
            )
    search = _Search(budget_s, seed, cpus, runs, threading.Event())
    results: dict[str, ZooResult] = {}
    # Never on the main thread, so that Ctrl-C ends all of it and not one run.
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_look, entry, search) for entry in chosen]
        try:
            for future in as_completed(futures):
                result = future.result()
                results[result.name] = result
                done(result)
        finally:
            search.stopped.set()
            pool.shutdown(cancel_futures=True)
    return [results[entry.name] for entry in chosen]


def look(entry: Entry, budget_s: float, seed: int, runs: Path | None = None) -> ZooResult:
    """Look for one bug, see `run`."""
    return _look(entry, _Search(budget_s, seed, None, runs, threading.Event()))


def _look(entry: Entry, search: _Search) -> ZooResult:
    from testbed.cli.stress import run_options

    budget_s = search.budget_s or entry.bug.budget_s
    looked_s, turns, reason = 0.0, 0, ""
    while looked_s < budget_s:
        turn_s = round(max(min(TURN_S, budget_s - looked_s), 0.5), 1)
        values = entry.values(search.cpus, (search.seed + turns) % 2**64, turn_s)
        elapsed, turns = _Elapsed(search.stopped), turns + 1
        summary = stress.run(entry.harness, run_options(entry.harness, values), elapsed)
        looked_s += max(elapsed.seconds, 0.1)
        if summary.findings:
            return _found(entry, values, _with_command(entry, summary, values), looked_s, search)
        if summary.verdict is Verdict.UNKNOWN:
            reason = summary.reason
    return _result(entry, found=False, seconds=looked_s, reason=reason or entry.bug.reason)


class _Elapsed:
    """Notes for how long a machine ran; ends the run when all shall end."""

    def __init__(self, stopped: threading.Event) -> None:
        self.seconds = 0.0
        self._stopped = stopped

    def __call__(self, progress: Progress) -> None:
        """Take note of progress."""
        self.seconds = progress.elapsed_s
        if self._stopped.is_set():
            raise _Stopped


def _with_command(entry: Entry, summary: Summary, values: dict[str, Any]) -> Summary:
    """Return `summary` with the command that does it again."""
    from testbed.cli.stress import command_of, with_command

    return with_command(summary, command_of(entry.harness, entry.bug.harness, values))


def _found(
    entry: Entry, values: dict[str, Any], summary: Summary, seconds: float, search: _Search
) -> ZooResult:
    folder = RunFolder.create(f"zoo-{entry.name}", search.runs)
    folder.event("start", command=list(summary.command), seed=values["seed"])
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    finding = _first(entry, summary)
    return _result(
        entry,
        found=finding.kind in entry.bug.kinds,
        kind=str(finding.kind),
        here=_shown(place_of(finding.here)),
        other=_shown(place_of(finding.other)),
        hits=finding.count,
        seconds=seconds,
        command=summary.command,
        report=str(folder.finding_path(finding)),
        reason=str(folder.problem or ""),
    )


def _first(entry: Entry, summary: Summary) -> Finding:
    """Return the finding that counts, else the first one: several CPUs may have made one each."""
    return next((f for f in summary.findings if f.kind in entry.bug.kinds), summary.findings[0])


def _shown(place: Place | None) -> str:
    return f"{place.name()} {place.where()}" if place else ""


def _result(entry: Entry, **values: Any) -> ZooResult:
    return ZooResult(
        name=entry.name, title=entry.bug.title, source=entry.bug.source,
        expected=entry.bug.expected == "found", **values,
    )  # fmt: skip
