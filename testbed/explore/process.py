"""Explorer processes: each of them does one job after the other; several share a search.

A crash of explored code is a finding that the process itself makes. A process that ends all the
same, or stops to give signs of life, is an error here, and never a verdict.
"""

from __future__ import annotations

import math
import mmap
import os
import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from testbed.cache import Core
from testbed.errors import MachineUnable, TestbedError
from testbed.explore.schedule import CPUS, FIRST_PICK, NOBODY, OPTIONS, Schedule
from testbed.layout import Layout
from testbed.process import CoreProcess

# How often somebody looks at progress, s.
LOOK_S = 0.05
# A job of one run, or a job that was asked to stop, may take so long, s.
STOP_PATIENCE_S = 20.0
# No operation was done for so long, s; a loop without any is a finding before that.
HEARTBEAT_PATIENCE_S = 20.0

# MAX_EXPLORED_TASKS and MAX_EXPLORED_INTERRUPTS of shm_layout/explore.h.
MAX_TASKS, MAX_INTERRUPTS = 64, 32

# EXIT_ENDLESS and the others of workers/virtual/main.c.
UNABLE = {
    "ended with status 4":
        "what comes before the tasks did not end within millions of operations: bound the loops "
        "of INIT",
    "ended with status 5":
        "tasks of the kernel have no thread-local variables: use those of each CPU, or pthreads",
    "ended with status 6":
        "there is nothing to explore in it: neither main() nor a TASK()",
    "ended with status 7":
        f"more than an explored machine has: CPUs 0 to {CPUS - 2}, {MAX_TASKS} tasks, "
        f"{MAX_INTERRUPTS} interrupts, of which each comes 1 to 255 times, 8 to a CPU",
}  # fmt: skip


class ExplorerLost(TestbedError):
    """An explorer process ended or got stuck, which says nothing about the explored code."""


@dataclass(frozen=True)
class Job:
    """What one process is to do; see ``struct explore_job``.

    Attributes:
        command: "search", "exhaust", "replay", "minimize" or "split".
        strategy: as in ``enum explore_strategy``, lower case.
        flags: names of the EXPLORE_* flags, lower case.
        prefix: choices of an exhaustive search that are already made.
        prefix_sleep: the agents asleep at each of them.
    """

    command: str
    strategy: str
    seed: int = 0
    depth: int = 0
    flags: frozenset[str] = frozenset()
    first_run: int = 0
    runs: int = 0
    max_steps: int = 0
    buffer: int = 0
    ticks: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    signature: int = 0
    prefix: bytes = b""
    prefix_sleep: tuple[int, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a job came to, copied out of ``struct explore_result``.

    Attributes:
        end: how the last run ended, or the failing one, as in ``enum run_end``, lower case.
        ends: runs by how they ended.
        failing_run: number of the first failing run, None if there is none.
        diverged: number of the choice at which a replay went another way, from 1; 0 = it did not.
        complete: an exhaustive search left nothing out.
        all_within: all of it within its bound of preemptions or delays.
        bounded: a step bound, or that one, was reached.
        passing: the nearest schedule that passes, of a minimize job.
        flip: places in `shown` of the two events whose order decides.
        finding: the record of ``struct finding``; None if there is none.
        shown: records of ``struct shown_event``.
        prefixes: of a split job: the choices and who sleeps at each of them.
        outcomes: runs by what they gave to explore_outcome().
        waiting: records of ``struct waiting``: who cannot go on.
        assertion: file, line and text of the assert() that failed; None if none did.
    """

    end: str
    executions: int
    ends: dict[str, int]
    decisions: int
    steps: int
    nanoseconds: int
    failing_run: int | None
    signature: int
    states: int
    longest: int
    replays: int
    diverged: int
    complete: bool
    all_within: bool
    bounded: bool
    schedule: Schedule
    passing: Schedule | None
    flip: tuple[int, int] | None
    checkpoints: tuple[int, ...]
    finding: Any | None
    shown: NDArray[Any]
    prefixes: tuple[tuple[bytes, tuple[int, ...]], ...]
    outcomes: dict[int, int]
    waiting: NDArray[Any]
    assertion: tuple[str, int, str] | None


class Pending(NamedTuple):
    """What an agent would do next: a name as in ``enum event_kind``, and what it touches.

    Of a choice of data: "pick", the option, and how many there are.
    """

    kind: str
    address: int
    size: int


# A strategy in Python: called with the enabled agents, the CPU that did the last operation, and
# what each of the agents would do; returns one of the agents. CPU i is agent i, its drain 16 + i,
# an interrupt of it 32 + i, its timer 48 + i. A choice of data of the CPU `current` is asked for in
# the same way: the agents are then 64, 65, ..., of which 64 + n stands for its option n.
Choose = Callable[[Sequence[int], int, Mapping[int, Pending]], int]


class Closing(ABC):
    """A context manager whose end is its `close`."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds. May be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class Explorer(Closing):
    """One process.

    Args:
        core: of the virtual flavour.
        index: of this process.
        arena: memory of the explored kernel; -1 for a program with pthreads.
        prepare: fills in the rest of ``struct explore`` before the process starts.
        choose: answers strategy "python".

    Raises:
        MachineUnable: it cannot be started.
    """

    def __init__(
        self, core: Core, index: int = 0, arena: int = -1,
        prepare: Callable[[Any], None] = lambda _record: None, choose: Choose | None = None,
    ) -> None:  # fmt: skip
        self._choose = choose
        self.layout = Layout.of(core)
        numbers = [self.layout.constant(name)
                   for name in ("VIRTUAL_CPUS", "AGENT_NOBODY", "AGENTS", "MAX_PICKS")]  # fmt: skip
        assert numbers == [CPUS, NOBODY, FIRST_PICK, OPTIONS], "schedules as text are made of these"
        dtype = self.layout.dtype("struct explore")
        memfd = os.memfd_create("testbed-explore", os.MFD_CLOEXEC)
        try:
            os.ftruncate(memfd, -(-dtype.itemsize // mmap.PAGESIZE) * mmap.PAGESIZE)
            memory = mmap.mmap(memfd, 0)
            self.record = np.frombuffer(memory, dtype, 1)[0]
            self.record["index"] = index
            prepare(self.record)
            self.record["magic"] = self.layout.constant("EXPLORE_MAGIC")
            self._process = CoreProcess(core.path, arena, memfd, quiet=True)
        except OSError as error:
            raise MachineUnable(
                f"no memory for an explorer process: {error.strerror}: use fewer, with -j"
            ) from error
        finally:
            os.close(memfd)
        self._process.give_up()
        self._beat, self._beat_seen, self._stop_seen = -1, 0.0, 0.0
        self.job: Job | None = None
        self.pid = self._process.pid

    def descriptors(self) -> tuple[int, int]:
        """Return what can be read when a job is done, and when the process has ended."""
        return self._process.descriptors()

    def start(self, job: Job) -> None:
        """Begin a job; the one before it must be done."""
        assert self.job is None, "one job at a time"
        self.job = job
        _write_job(self.record["job"], job, self.layout)
        self.record["stop"] = 0
        self._stop_seen = 0.0
        self.record["result"]["state"] = 0
        self._beat, self._beat_seen = -1, time.monotonic()
        self._process.ask()

    def result(self) -> Result | None:
        """Return what became of the job if it is done.

        Raises:
            ExplorerLost: the process has ended, or makes no progress.
        """
        said = self._process.hear(0)
        while said.endswith(b"a"):
            self._answer()
            said = self._process.hear(LOOK_S)
        if said.endswith(b"d"):
            job, self.job = self.job, None
            if int(self.record["result"]["state"]) != 1:
                raise MachineUnable(
                    f"this explorer cannot {job.command} by strategy {job.strategy}" if job else
                    "the explorer was asked for nothing"
                )  # fmt: skip
            return read_result(self.record["result"], self.layout)
        self._check_alive()
        return None

    def _answer(self) -> None:
        assert self._choose is not None, "only a strategy in Python is asked"
        mask = int(self.record["ask_enabled"])
        if not mask:
            options = int(self.record["ask_options"])
            choice = {FIRST_PICK + n: Pending("pick", n, options) for n in range(options)}
            current = int(self.record["ask_current"])
            self.record["answer"] = self._choose(list(choice), current, choice)
            self._process.ask()
            return
        enabled = [agent for agent in range(mask.bit_length()) if mask >> agent & 1]
        kinds = {number: name.removeprefix("EVENT_KIND_").lower()
                 for name, number in self.layout.enum("event_kind").items()}  # fmt: skip
        pending = {}
        for agent in enabled:
            asked = self.record["ask_pending"][agent]
            pending[agent] = Pending(
                kinds[int(asked["kind"])], int(asked["addr"]), int(asked["size"])
            )
        self.record["answer"] = self._choose(enabled, int(self.record["ask_current"]), pending)
        self._process.ask()

    def _check_alive(self) -> None:
        ended = self._process.exit_text()
        if ended in UNABLE:
            raise MachineUnable(UNABLE[ended])
        if ended is not None:
            raise ExplorerLost(
                f"an explorer process {ended} after {int(self.record['progress']):,} runs of its "
                "job: that is no verdict on the program"
            )
        beat, now = int(self.record["heartbeat"]), time.monotonic()
        if beat != self._beat:
            self._beat, self._beat_seen = beat, now
        if self._stop_seen and now - self._stop_seen > STOP_PATIENCE_S:
            raise ExplorerLost(
                f"an explorer process did not end its job within {STOP_PATIENCE_S:.0f} s"
            )
        if now - self._beat_seen > HEARTBEAT_PATIENCE_S:
            raise ExplorerLost(
                f"an explorer process has done no operation for {HEARTBEAT_PATIENCE_S:.0f} s: the "
                "program may wait in a call that the explorer has no stand-in for"
            )

    def stop(self, wanted: bool = True) -> None:
        """Ask it to end the job soon, with what there is; `wanted`: somebody looks at that."""
        self.record["stop"] = self.layout.constant("STOP_SOON" if wanted else "STOP_NOW")
        self._stop_seen = self._stop_seen or time.monotonic()

    def do(self, job: Job) -> Result:
        """Do a job and return its result."""
        self.start(job)
        poll = select.poll()
        for descriptor in self.descriptors():
            poll.register(descriptor, select.POLLIN)
        while True:
            poll.poll(LOOK_S * 1000)
            result = self.result()
            if result is not None:
                return result

    def close(self) -> None:
        """End the process. May be called twice."""
        self._process.end()


def _write_job(record: Any, job: Job, layout: Layout) -> None:
    commands, strategies = layout.enum("explore_command"), layout.enum("explore_strategy")
    record["command"] = commands[f"EXPLORE_{job.command.upper()}"]
    record["strategy"] = strategies[f"STRATEGY_{job.strategy.upper().replace('-', '_')}"]
    record["flags"] = sum(layout.constant(f"EXPLORE_{flag.upper()}") for flag in job.flags)
    for name in ("seed", "depth", "first_run", "runs", "max_steps", "buffer", "ticks", "signature"):
        record[name] = getattr(job, name)
    record["nr_interventions"] = len(job.schedule)
    interventions = job.schedule.records(layout.dtype("struct intervention"))
    record["schedule"][: len(interventions)] = interventions
    record["nr_prefix"] = len(job.prefix)
    record["prefix"][: len(job.prefix)] = np.frombuffer(job.prefix, np.uint8)
    record["prefix_sleep"][: len(job.prefix_sleep)] = job.prefix_sleep


def read_result(record: Any, layout: Layout) -> Result:
    """Return a copy of ``struct explore_result``."""
    names = {number: name.removeprefix("RUN_").lower() for name, number in
             layout.enum("run_end").items() if name != "RUN_ENDS"}  # fmt: skip
    failing = int(record["failing_run"])
    numbers = ("executions", "decisions", "steps", "nanoseconds", "signature", "states", "longest",
               "replays", "diverged")  # fmt: skip
    flip = int(record["flip_first"]), int(record["flip_second"])
    return Result(
        end=names[int(record["end"])],
        ends={names[n]: int(count) for n, count in enumerate(record["ends"])},
        failing_run=None if failing == 2**64 - 1 else failing,
        complete=bool(record["complete"]),
        all_within=bool(record["all_within"]),
        bounded=bool(record["bounded"]),
        schedule=Schedule.of_records(record["schedule"][: int(record["nr_interventions"])]),
        passing=(Schedule.of_records(record["passing"][: int(record["nr_passing"])])
                 if record["has_passing"] else None),
        flip=(flip[0] - 1, flip[1] - 1) if all(flip) else None,
        checkpoints=tuple(record["checkpoint"][: int(record["nr_checkpoints"])].tolist()),
        finding=record["finding"].copy() if int(record["finding"]["kind"]) else None,
        shown=record["shown"][: int(record["nr_shown"])].copy(),
        prefixes=_prefixes(record),
        outcomes=_outcomes(record),
        waiting=record["waiting"][: int(record["nr_waiting"])].copy(),
        assertion=_assertion(record),
        **{name: int(record[name]) for name in numbers},
    )


def _prefixes(record: Any) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    return tuple(
        (one["agent"][: int(one["count"])].tobytes(),
         tuple(one["sleep"][: int(one["count"])].tolist()))
        for one in record["prefixes"][: int(record["nr_prefixes"])]
    )  # fmt: skip


def _assertion(record: Any) -> tuple[str, int, str] | None:
    line = int(record["assertion_line"])
    if not line:
        return None
    file, text = (record[name].decode(errors="replace") for name in ("assertion_file", "assertion"))
    return file, line, text


def _outcomes(record: Any) -> dict[int, int]:
    if not int(record["nr_outcomes"]):
        return {}  # what the slots hold is of an older job
    used = record["outcome"][record["outcome"]["runs"] > 0]
    return dict(sorted(zip(used["value"].tolist(), used["runs"].tolist(), strict=True)))


class Pool(Closing):
    """Several explorer processes that share the jobs of a search.

    Args:
        start: makes the process of an index.
        size: how many; each is made when there is work for it.

    Attributes:
        explorers: those that were made.
    """

    def __init__(self, start: Callable[[int], Explorer], size: int) -> None:
        self._start, self.size = start, size
        self.explorers: list[Explorer] = []
        self._stack = ExitStack()
        self._last: float = math.inf

    def one(self) -> Explorer:
        """Return a process that does nothing."""
        for explorer in self.explorers:
            if explorer.job is None:
                return explorer
        explorer = self._stack.enter_context(self._start(len(self.explorers)))
        self.explorers.append(explorer)
        return explorer

    @property
    def progress(self) -> int:
        """Executions of the jobs under way."""
        return sum(int(one.record["progress"]) for one in self.explorers if one.job is not None)

    def stop_after(self, number: float) -> None:
        """Begin no job behind number `number`, and end those that are under way; -1 = all."""
        self._last = min(self._last, number)

    def each(
        self, jobs: Iterable[Job], look: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Result]]:
        """Do `jobs`, in order as processes become free; yield the number and result of each.

        `jobs` is asked for the next one only when a process is free for it, so it may be endless.

        Args:
            jobs: what to do, numbered from 0.
            look: called now and then.

        Raises:
            ExplorerLost: a process is lost.
        """
        waiting = enumerate(jobs)
        busy: dict[int, Explorer] = {}
        self._last = math.inf
        while True:
            while len(busy) < self.size and self._last == math.inf:
                number, job = next(waiting, (-1, None))
                if job is None:
                    self._last = math.inf if not busy else max(busy)
                    break
                busy[number] = self.one()
                busy[number].start(job)
            if not busy:
                return
            yield from self._done(busy)
            look()
            for number, explorer in busy.items():
                if number > self._last:
                    explorer.stop(wanted=self._last < 0)

    def _done(self, busy: dict[int, Explorer]) -> Iterator[tuple[int, Result]]:
        poll = select.poll()
        for explorer in busy.values():
            for descriptor in explorer.descriptors():
                poll.register(descriptor, select.POLLIN)
        poll.poll(LOOK_S * 1000)
        for number, explorer in list(busy.items()):
            result = explorer.result()
            if result is not None:
                del busy[number]
                yield number, result

    def close(self) -> None:
        """End all processes."""
        self._stack.close()
