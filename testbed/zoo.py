"""Real bugs are put back, one patch at a time: does a run find each of them, and as what?

``stress/zoo/NAME.patch`` breaks the core the way its history had it broken; ``NAME.toml`` beside
it says which harness shows the bug on the real machine, which file shows it to the explorer, which
kinds of findings count, and what to expect. Silence elsewhere is worth as much as this table.
"""

import os
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
from testbed.commands import stress_command, with_command
from testbed.errors import TestbedError
from testbed.explore.command import options_with_command
from testbed.explore.run import explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Finding, Kind, Place, Summary, Verdict, place_of
from testbed.harness import Harness, load, stress_folder
from testbed.runs import RunFolder
from testbed.stress import Progress, RunOptions

__all__ = [
    "Bug", "Entry", "Mode", "ZooError", "ZooResult", "entries", "explored", "look", "run",
    "zoo_folder",
]  # fmt: skip

# The machine to look on.
Mode = Literal["real", "virtual"]
MODES: tuple[Mode, ...] = ("real", "virtual")

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

    def is_for(self, mode: Mode) -> bool:
        """Tell whether that machine can show it."""
        return bool(self.bug.harness if mode == "real" else self.bug.explore)

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
    """What became of looking for one bug on one machine.

    Attributes:
        machine: "real" or "virtual".
        found: a finding was made, of a kind that counts.
        kind: of the finding, "" if there was none. Not found and yet a kind: it was another one.
        here, other: its two places, "" if there was none.
        expected: it is meant to be found; False: hard on this machine, `reason` says why.
        hits: how often the finding came back.
        executions: runs that the explorer made until then.
        interventions: in the explorer's smallest run that shows it.
        seconds: for how long machines ran until then.
        command: argv that runs it again.
        report: path of the finding's report, "" without one.
        reason: why it is hard, or why a run could not be judged.
    """

    name: str
    title: str
    source: str
    machine: Mode
    found: bool
    kind: str = ""
    here: str = ""
    other: str = ""
    expected: bool
    hits: int = 0
    executions: int = 0
    interventions: int = 0
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
    names: Sequence[str] = (), folder: Path | None = None, mode: Mode | None = None
) -> list[Entry]:
    """Return the bugs of these names, all of them without one.

    Args:
        names: of bugs.
        folder: where they are; `zoo_folder()` by default.
        mode: those only that this machine can show.

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
    return [entry for entry in found if mode is None or entry.is_for(mode)]


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
    mode: Mode | None = None,
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
        mode: the machine to look on; None: on each that can show the bug.
        jobs: bugs to look for at the same time.
        budget_s: for each bug, s; None = as the bug says.
        seed: of every random choice.
        cpus: of each machine; None = as the bug says.
        runs: the folder of all runs, None for the usual one; each finding gets a run in it.
        folder: where the bugs are, see `entries`.
        done: called after each bug, in the order in which they end.

    Returns:
        One result for each bug and machine, in the order of `names`.

    Raises:
        ZooError: an unknown bug, or one that the machine cannot show.
        TestbedError: a patch does not apply, or no machine can run here.
    """
    chosen = entries(names, folder)
    if names and mode is not None:
        _check_all(chosen, mode)
    search = _Search(budget_s, seed, cpus, runs, threading.Event())
    searches = [
        (entry, one) for entry in chosen for one in ([mode] if mode else MODES)
        if entry.is_for(one)
    ]  # fmt: skip
    # Never on the main thread, so that Ctrl-C ends all of it and not one run.
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(LOOK[one], entry, search) for entry, one in searches]
        try:
            for future in as_completed(futures):
                done(future.result())
        finally:
            search.stopped.set()
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _check_all(chosen: Sequence[Entry], mode: Mode) -> None:
    for entry in chosen:
        if not entry.is_for(mode):
            who, other = ("explorer", "virtual") if mode == "real" else ("real machine", "real")
            raise ZooError(f"{entry.name}: only the {who} shows it: choose --{other}")


def look(entry: Entry, budget_s: float, seed: int, runs: Path | None = None) -> ZooResult:
    """Look for one bug on the real machine, see `run`."""
    return _look(entry, _Search(budget_s, seed, None, runs, threading.Event()))


def explored(
    entry: Entry, search: SearchOptions, cpus: int = 0, folder: RunFolder | None = None,
    progress: Callable[[Any], None] = lambda _progress: None,
) -> Summary:  # fmt: skip
    """Return what the explorer says of one bug.

    Args:
        entry: a bug that it can show.
        search: how to search.
        cpus: of the explored machine; 0 = as many as the tasks need.
        folder: gets the finding when it is made.
        progress: called all the time.
    """
    target = find_target(str(stress_folder() / entry.bug.explore))
    options = options_with_command(target.named, search, (entry.patch,), cpus=cpus)
    return explore(target, options, progress, folder)


def _explore(entry: Entry, search: _Search) -> ZooResult:
    budget_s = search.budget_s or entry.bug.budget_s
    options = SearchOptions(
        seed=search.seed, processes=len(os.sched_getaffinity(0)), duration_s=budget_s,
        # There is something to find: trying everything first would only take time.
        strategy="portfolio",
    )  # fmt: skip
    folder = RunFolder.create(f"zoo-explore-{entry.name}", search.runs)
    folder.event("start", seed=search.seed)
    summary = explored(entry, options, search.cpus or 0, folder, _Elapsed(search.stopped))
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    values = {
        "machine": "virtual",
        "seconds": summary.duration_s,
        "executions": int(summary.counters.get("executions", 0)),
    }
    if not summary.findings:
        return _result(entry, found=False, reason=summary.reason, **values)
    finding = _first(entry, summary)
    story = finding.story
    interventions = len(story.interventions) if story else 0
    return _with_finding(
        entry, finding, folder, interventions=interventions, command=finding.command, **values
    )


def _look(entry: Entry, search: _Search) -> ZooResult:
    budget_s = search.budget_s or entry.bug.budget_s
    looked_s, turns, reason = 0.0, 0, ""
    while looked_s < budget_s:
        turn_s = round(max(min(TURN_S, budget_s - looked_s), 0.5), 1)
        values = entry.values(search.cpus, (search.seed + turns) % 2**64, turn_s)
        elapsed, turns = _Elapsed(search.stopped), turns + 1
        summary = stress.run(entry.harness, RunOptions.of(entry.harness, values), elapsed)
        looked_s += max(elapsed.seconds, 0.1)
        if summary.findings:
            command = stress_command(entry.harness, entry.bug.harness, values)
            return _found(entry, values, with_command(summary, command), looked_s, search)
        if summary.verdict is Verdict.UNKNOWN:
            reason = summary.reason
    told = reason or entry.bug.reason
    return _result(entry, machine="real", found=False, seconds=looked_s, reason=told)


LOOK: dict[Mode, Callable[[Entry, _Search], ZooResult]] = {"real": _look, "virtual": _explore}


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


def _found(
    entry: Entry, values: dict[str, Any], summary: Summary, seconds: float, search: _Search
) -> ZooResult:
    folder = RunFolder.create(f"zoo-{entry.name}", search.runs)
    folder.event("start", command=list(summary.command), seed=values["seed"])
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    finding = _first(entry, summary)
    return _with_finding(
        entry, finding, folder, machine="real", seconds=seconds, command=summary.command
    )


def _with_finding(entry: Entry, finding: Finding, folder: RunFolder, **values: Any) -> ZooResult:
    return _result(
        entry,
        found=finding.kind in entry.bug.kinds,
        kind=str(finding.kind),
        here=_shown(place_of(finding.here)),
        other=_shown(place_of(finding.other)),
        hits=finding.count,
        report=str(folder.finding_path(finding)),
        reason=str(folder.problem or ""),
        **values,
    )


def _first(entry: Entry, summary: Summary) -> Finding:
    """Return the finding that counts, else the first one: several CPUs may have made one each."""
    return next((f for f in summary.findings if f.kind in entry.bug.kinds), summary.findings[0])


def _shown(place: Place | None) -> str:
    return f"{place.name()} {place.where()}" if place else ""


def _result(entry: Entry, **values: Any) -> ZooResult:
    return ZooResult(
        name=entry.name, title=entry.bug.title, source=entry.bug.source,
        expected=entry.bug.expected == "found" or values["machine"] == "virtual", **values,
    )  # fmt: skip
