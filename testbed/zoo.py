"""Real bugs are put back, one patch at a time: does a run find each of them, and as what?

`testbed.zoo_bugs` tells what there is. Silence elsewhere is worth as much as this table: variants,
which change a mechanism and keep it right, are run the same way, and have to stay silent.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from testbed import stress
from testbed.commands import stress_command, with_command
from testbed.explore.command import options_with_command
from testbed.explore.run import explore
from testbed.explore.search import SearchOptions
from testbed.explore.target import find_target
from testbed.findings import Finding, Place, Summary, Verdict, place_of
from testbed.runs import RunFolder
from testbed.stress import Progress, RunOptions
from testbed.zoo_bugs import (
    MODES,
    Bug,
    Entry,
    Mode,
    ZooError,
    entries,
    missing,
    variants_folder,
    zoo_folder,
)  # fmt: skip

__all__ = [
    "Bug", "Entry", "Mode", "ZooError", "ZooResult", "entries", "explored", "look", "run",
    "variants_folder", "zoo_folder",
]  # fmt: skip

# One machine looks for so long, then another seed has its turn: a seed chooses what is probed, and
# not every choice can show every bug.
TURN_S = 5.0


class ZooResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of looking for one bug on one machine.

    Attributes:
        machine: "real" or "virtual".
        found: a finding was made, of a kind that counts.
        kind: of the finding, "" if there was none. Not found and yet a kind: it was another one.
        here, other: its two places, "" if there was none.
        expected: it is meant to be found; False: hard on this machine, `reason` says why, or it
            is right, or it `needs` what is not there.
        right: nothing is wrong with it: whatever is found is a false alarm.
        needs: the mechanism without which it cannot be put back; it was not looked for.
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
    right: bool = False
    needs: str = ""
    hits: int = 0
    executions: int = 0
    interventions: int = 0
    seconds: float
    command: tuple[str, ...] = ()
    report: str = ""
    reason: str = ""

    @property
    def as_expected(self) -> bool:
        """It is what the zoo says of it, or it was not looked for."""
        return not self.kind and not self.reason if self.right else self.found or not self.expected


@dataclass(frozen=True)
class _Search:
    """What the searches of one run of the zoo have in common."""

    budget_s: float | None
    seed: int
    cpus: int | None
    runs: Path | None
    processes: int
    stopped: threading.Event


class _Stopped(Exception):
    """The user wants no more of it."""


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
        One result for each bug and machine, in the order of `names`; without names, last one for
        each bug that cannot be put back yet.

    Raises:
        ZooError: an unknown bug, or one that the machine cannot show.
        TestbedError: a patch does not apply, or no machine can run here.
    """
    chosen = entries(names, folder)
    if names and mode is not None:
        _check_all(chosen, mode)
    processes = max(len(os.sched_getaffinity(0)) // jobs, 1)
    search = _Search(budget_s, seed, cpus, runs, processes, threading.Event())
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
    found = [future.result() for future in futures]
    return found if names else found + _missing(folder)


def _missing(folder: Path | None) -> list[ZooResult]:
    return [
        ZooResult(name=name, title=one.title, source=one.source, needs=one.needs,
                  machine="virtual", found=False, expected=False, seconds=0.0)
        for name, one in missing(folder).items()
    ]  # fmt: skip


def _check_all(chosen: Sequence[Entry], mode: Mode) -> None:
    for entry in chosen:
        if not entry.is_for(mode):
            who, other = ("explorer", "virtual") if mode == "real" else ("real machine", "real")
            raise ZooError(f"{entry.name}: only the {who} shows it: choose --{other}")


def look(entry: Entry, budget_s: float, seed: int, runs: Path | None = None) -> ZooResult:
    """Look for one bug on the real machine, see `run`."""
    return _look(entry, _Search(budget_s, seed, None, runs, 1, threading.Event()))


def explored(
    entry: Entry, search: SearchOptions, cpus: int = 0, folder: RunFolder | None = None,
    progress: Callable[[Any], None] = lambda _progress: None,
) -> Summary:  # fmt: skip
    """Return what the explorer says of one bug.

    Args:
        entry: a bug that it can show.
        search: how to search; the bug says how many ticks if this does not.
        cpus: of the explored machine; 0 = as many as the tasks need.
        folder: gets the finding when it is made.
        progress: called all the time.
    """
    target = find_target(entry.explored)
    search = replace(search, ticks=search.ticks or entry.bug.ticks)
    options = options_with_command(target.named, search, (entry.patch,), cpus=cpus,
                                   preempt=entry.bug.preempt)
    return explore(target, options, progress, folder)


def _explore(entry: Entry, search: _Search) -> ZooResult:
    budget_s = search.budget_s or entry.bug.budget_s
    options = SearchOptions(
        seed=search.seed, processes=search.processes, duration_s=budget_s,
        # There is something to find: trying everything first would only take time.
        strategy="portfolio",
    )  # fmt: skip
    folder = RunFolder.create(f"zoo-explore-{entry.name}", search.runs)
    folder.event("start", seed=search.seed)
    with folder.building():
        summary = explored(entry, options, search.cpus or 0, folder, _Elapsed(search.stopped))
    summary = folder.finish(summary)
    folder.event("end", verdict=str(summary.verdict), reason=summary.reason)
    values = {
        "machine": "virtual",
        "seconds": summary.duration_s,
        "executions": int(summary.counters.get("executions", 0)),
    }
    if not summary.findings:
        # The end of the time is what a search ends with that finds nothing.
        unable = "" if entry.bug.expected == "held" and values["executions"] else summary.reason
        return _result(entry, found=False, reason=unable, **values)
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
        expected=entry.bug.expected == "found"
        or (entry.bug.expected == "hard" and values["machine"] == "virtual"),
        right=entry.bug.expected == "held", **values,
    )  # fmt: skip
