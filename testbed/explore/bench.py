"""What the explorer costs: executions per second on one core, exhausted programs, starting."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.build import Core, Flavour, Request, build
from testbed.errors import TestbedError
from testbed.explore.process import Explorer, Job, Result
from testbed.explore.target import build_target, find_target
from testbed.explore.world import World
from testbed.paths import project_root

Figures = dict[str, Any]

ROUNDS = 3
SEED = 1
BUFFER = 8
MAX_STEPS = 100_000
EVERYTHING = 2**62

# Runs of one round, long enough that starting a job does not count.
RUNS = {"nothing": 2_000_000, "buffers": 1_000_000, "two_readers": 200_000}

BUFFERS_AIM = 3_000_000
READERS_AIM = 700_000

# A kprobe is registered, hit and unregistered, with 2 and 3 CPUs.
PROBED = {"unregister_vs_hit": 10_000, "unregister_vs_hits": 6_000}
PROBED_AIM = 100_000
ADDITIONS_AIM_S = 5.0
ADDITIONS_CLASSES = 1_824_912


class BenchUnable(TestbedError):
    """The explorer did something else than was to be measured."""


def measure(with_aim: Callable[..., Figures]) -> Figures:
    """Return figures by program; each is of one process.

    Args:
        with_aim: puts an aim beside a figure, see testbed.bench.
    """
    figures: Figures = {"start": _start(_core("nothing"))}
    with Explorer(_core("nothing")) as explorer:
        rate = _rate("nothing", explorer, RUNS["nothing"], races=False)
    figures["nothing"] = {"run_ns": 1e9 / rate}
    for name, aim in (("buffers", BUFFERS_AIM), ("two_readers", READERS_AIM)):
        with Explorer(_core(name)) as explorer:
            rates = _all_rates(name, explorer, RUNS[name])
        figures[name] = with_aim(rates, "random_executions_per_s", at_least=aim)
    for name, runs in PROBED.items():
        target = find_target(name)
        with World(build_target(target, (), ()), target) as world, world.explorer(0) as explorer:
            rates = _all_rates(name, explorer, runs)
        figures[name] = with_aim(rates, "random_executions_per_s", at_least=PROBED_AIM)
    figures["additions_3x3"] = _exhausted(with_aim)
    return figures


def _core(name: str) -> Core:
    source: Path = project_root() / "stress" / "litmus" / f"{name}.c"
    return build(Request(Flavour.VIRTUAL, extra=(source,)))


def _start(core: Core) -> Figures:
    """Measure a process from its start to the end of its first run."""

    def once() -> float:
        begun = time.perf_counter()
        with Explorer(core) as explorer:
            explorer.do(Job("search", "random", runs=1, max_steps=MAX_STEPS, buffer=BUFFER))
            return 1e3 * (time.perf_counter() - begun)

    return {"to_first_run_ms": statistics.median(once() for _ in range(2 * ROUNDS))}


def _all_rates(name: str, explorer: Explorer, runs: int) -> Figures:
    """Return executions per second of several strategies."""
    return {
        "random_executions_per_s": _rate(name, explorer, runs, races=False),
        "random_with_races_executions_per_s": _rate(name, explorer, runs, races=True),
        "portfolio_executions_per_s": _rate(name, explorer, runs, races=True, strategy="portfolio"),
    }


def _rate(
    name: str, explorer: Explorer, runs: int, races: bool, strategy: str = "random"
) -> float:
    """Return executions per second, the median of some rounds."""
    job = Job(
        "search", strategy, seed=SEED, runs=runs, max_steps=MAX_STEPS, buffer=BUFFER,
        flags=frozenset({"all", "races"} if races else {"all"}),
    )  # fmt: skip
    rates = []
    for _ in range(ROUNDS):
        result, seconds = _timed(explorer, job)
        if result.executions != job.runs or result.ends["failed"]:
            raise BenchUnable(f"{name}: not all of its runs were made, or some failed")
        rates.append(result.executions / seconds)
    return statistics.median(rates)


def _timed(explorer: Explorer, job: Job) -> tuple[Result, float]:
    """Do a job; return its result and the processor time that it took, s.

    Processor time is what a core of one's own would take, whatever else the system does.
    """
    # MAKE_PROCESS_CPUCLOCK of include/linux/posix-timers.h (v6.12), with CPUCLOCK_SCHED.
    clock = ~explorer.pid << 3 | 2
    before = time.clock_gettime(clock)
    result = explorer.do(job)
    return result, time.clock_gettime(clock) - before


def _exhausted(with_aim: Callable[..., Figures]) -> Figures:
    figures: Figures = {}
    with Explorer(_core("additions")) as explorer:
        for strategy in ("sleep", "dpor"):
            job = Job(
                "exhaust", strategy, runs=EVERYTHING, max_steps=MAX_STEPS, buffer=BUFFER,
                flags=frozenset({"all"}),
            )  # fmt: skip
            result, seconds = _timed(explorer, job)
            classes = result.ends["passed"] + result.ends["failed"]
            if not result.complete or classes != ADDITIONS_CLASSES:
                raise BenchUnable(
                    f"additions: {classes:,} classes by {strategy}, expected {ADDITIONS_CLASSES:,}"
                )
            figures[f"{strategy}_s"] = seconds
            figures[f"{strategy}_classes"] = classes
            figures[f"{strategy}_redundant"] = result.ends["cut"]
            with_aim(figures, f"{strategy}_s", at_most=ADDITIONS_AIM_S)
    return figures
