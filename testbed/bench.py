"""What things cost here, measured in one run, so that they can be put into proportion.

Rounds of all measurements are interleaved and medians taken, so that what else the system does
falls on all of them alike. Absolute figures are of this system at this moment; ratios travel.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from testbed import __version__
from testbed.build import Core, Request, build
from testbed.config import MachineConfig, Poke, usable_cores
from testbed.errors import TestbedError
from testbed.layout import Layout
from testbed.machine import Machine
from testbed.paths import project_root
from testbed.text.image import IMPORT_PREFIX, Image, build_image
from testbed.toolchain import find_compiler
from testbed.uprobe import Uprobe, UprobeUnable, hits

Figures = dict[str, Any]

ROUNDS = 5
CPU_COUNTS = (2, 4, 8, 16)

# One round of each, short enough to be left alone by the host's scheduler more often than not.
CALLS, TRAPS, STEPS, ALLOCATIONS = 100_000, 1000, 500, 5000
OPERATION_NS, TURN_NS = 50_000_000, 25_000_000
UPROBE_PAIRS = 5

BOOT_AIM_MS = 20.0
HIT_AIM = 1.3
PAIR_AIMS = {2: 3000, 4: 1000}

# Functions of text: what is probed, at which offset, and how its instruction is made to happen.
HIT_FUNCTION = "push_rbp"
HITS = {
    "boosted": (HIT_FUNCTION, 0, False),
    "emulated": (HIT_FUNCTION, 14, False),
    "stepped": (HIT_FUNCTION, 0, True),
}


class BenchError(TestbedError):
    """There is no such measurement, or it could not be made."""


class Bench:
    """A core and a text to measure with, made when they are first needed."""

    @cached_property
    def core(self) -> Core:
        """The stock core with the tasks that are measured."""
        return build(Request(extra=(project_root() / "stress" / "bench_tasks.c",)))

    @cached_property
    def image(self) -> Image:
        """The assembled functions."""
        imports = {
            name: symbol.address
            for name, symbol in Layout.of(self.core).symbols().items()
            if name.startswith(IMPORT_PREFIX)
        }
        return build_image(library=None, imports=imports)

    def boot(self, cpus: int, poke: Poke = Poke.INT3) -> Machine:
        """Return a machine; nothing that it does for long is a hang."""
        config = MachineConfig(cpus=cpus, hang_ms=0, stall_ms=0, poke=poke)
        return Machine(self.core, self.image, config)

    def address(self, function: str, offset: int = 0) -> int:
        """Return a text address."""
        return self.image.function(function).addr + offset


def measured(machine: Machine, function: str, *args: int) -> float:
    """Repeat something on CPU 0 and return what one of it took, ns.

    Raises:
        BenchError: it could not be done.
    """
    if machine.call(function, *args, timeout=60.0):
        raise BenchError(f"{function}(): what is to be measured does not work here")
    result = machine.global_("bench_result")
    return float(result["ns"]) / max(int(result["count"]), 1)


def median_of(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over all rounds."""
    columns: dict[str, list[float]] = {}
    for one in rounds:
        for name, value in one.items():
            columns.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in columns.items()}


def bench_boot(bench: Bench) -> Figures:
    """Measure boot and end of a machine of 4 CPUs."""

    def once() -> dict[str, float]:
        start = time.perf_counter()
        machine = bench.boot(4)
        booted = time.perf_counter()
        machine.close()
        ended = time.perf_counter()
        return {
            "boot_ms": 1e3 * (booted - start),
            "end_ms": 1e3 * (ended - booted),
            "boot_and_end_ms": 1e3 * (ended - start),
        }

    figures: Figures = {"cpus": 4, **median_of(once() for _ in range(ROUNDS))}
    return with_aim(figures, "boot_and_end_ms", at_most=BOOT_AIM_MS)


def bench_hit(bench: Bench) -> Figures:
    """Measure a probed call beside a bare SIGTRAP in the same process."""
    with bench.boot(1) as machine:
        figures: Figures = median_of(_hit_round(bench, machine) for _ in range(2 * ROUNDS))
    bare = figures["bare_sigtrap_ns"]
    for name in HITS:
        figures[f"{name}_hit_per_bare_sigtrap"] = figures[f"{name}_hit_ns"] / bare
        if name != "stepped":
            with_aim(figures, f"{name}_hit_per_bare_sigtrap", at_most=HIT_AIM)
    return figures


def _hit_round(bench: Bench, machine: Machine) -> dict[str, float]:
    plain = measured(machine, "bench_calls", bench.address(HIT_FUNCTION), CALLS)
    bare = measured(machine, "bench_bare_trap", TRAPS)
    figures = {"plain_call_ns": plain, "bare_sigtrap_ns": bare}
    for name, (function, offset, stepped) in HITS.items():
        machine.call("bench_arm", bench.address(function, offset), int(stepped))
        count = STEPS if stepped else TRAPS
        one = measured(machine, "bench_calls", bench.address(function), count)
        machine.call("bench_disarm")
        figures[f"{name}_hit_ns"] = one - plain
    return figures


def _with_callers(bench: Bench, cpus: int, poke: Poke = Poke.INT3) -> Machine:
    """Return a machine all of whose CPUs but CPU 0 call, and were seen to."""
    machine = bench.boot(cpus, poke)
    for cpu in range(1, cpus):
        machine.spawn(cpu, "bench_caller", bench.address(HIT_FUNCTION))
    made = machine.global_("bench_calls_made")
    deadline = time.monotonic() + 10
    while not made[1:cpus, 0].all():
        if time.monotonic() > deadline:
            raise BenchError(f"{cpus} CPUs do not get on side by side")
        time.sleep(0.001)
    return machine


def bench_pairs(bench: Bench) -> Figures:
    """Measure register and unregister pairs of a function that all other CPUs call."""
    rounds: dict[str, list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for poke in Poke:
            for cpus in CPU_COUNTS:
                name = f"{cpus}_cpus" + ("" if poke is Poke.INT3 else f"_{poke}")
                rounds.setdefault(name, []).append(_pairs_round(bench, cpus, poke))
    figures: Figures = {"cores": usable_cores()}
    for name, made in rounds.items():
        figures[name] = median_of(made)
    for cpus, aim in PAIR_AIMS.items():
        with_aim(figures[f"{cpus}_cpus"], "pairs_per_s", at_least=aim)
    return figures


def _pairs_round(bench: Bench, cpus: int, poke: Poke) -> dict[str, float]:
    """Return the rate of pairs, and that of the calls on the CPU that made the fewest meanwhile."""
    with _with_callers(bench, cpus, poke) as machine:
        made = machine.global_("bench_calls_made")[1:cpus, 0]
        before = made.copy()
        # Long enough for each of them to get its turn on a core.
        window_ns = max(OPERATION_NS, cpus * TURN_NS)
        ns = measured(machine, "bench_pairs", bench.address(HIT_FUNCTION), window_ns)
        seconds = int(machine.global_("bench_result")["ns"]) / 1e9
        fewest = int((made - before).min())
    return {"pairs_per_s": 1e9 / ns, "fewest_calls_of_a_cpu_per_s": fewest / seconds}


def bench_waits(bench: Bench) -> Figures:
    """Measure what waits for all other CPUs, which are busy: cross call, grace period, stop."""
    what = {
        "cross_call_us": "bench_cross_calls",
        "grace_period_us": "bench_grace_periods",
        "stop_machine_us": "bench_stops",
    }
    rounds: dict[int, list[dict[str, float]]] = {cpus: [] for cpus in CPU_COUNTS}
    for _ in range(ROUNDS):
        for cpus in CPU_COUNTS:
            with _with_callers(bench, cpus) as machine:
                rounds[cpus].append(
                    {
                        name: measured(machine, function, OPERATION_NS // 3) / 1e3
                        for name, function in what.items()
                    }
                )
    figures: Figures = {"cores": usable_cores()}
    return figures | {f"{cpus}_cpus": median_of(made) for cpus, made in rounds.items()}


def bench_kmalloc(bench: Bench) -> Figures:
    """Measure a kmalloc() with its kfree(), redzones and poison included."""
    sizes = (64, 1024)
    with bench.boot(1) as machine:
        return median_of(
            {
                f"{size}_bytes_pair_ns": measured(machine, "bench_allocations", size, ALLOCATIONS)
                for size in sizes
            }
            for _ in range(ROUNDS)
        )


def bench_uprobe(bench: Bench) -> Figures:
    """Measure the real kernel's uprobes, on code of the core, by the same loops."""
    try:
        with bench.boot(2) as machine:
            thread = _server_thread(machine)
            rounds = [_uprobe_round(bench, machine, thread) for _ in range(ROUNDS)]
    except UprobeUnable as error:
        return {"not_measured": str(error)}
    return median_of(rounds)


def bench_explore(bench: Bench) -> Figures:  # noqa: ARG001
    """Measure the explorer, which needs neither the core nor the text of the others."""
    from testbed.explore.bench import measure

    return measure(with_aim)


def bench_trampolines(bench: Bench) -> Figures:  # noqa: ARG001
    """Measure traced calls, with a core and a text of their own; leaves a plot."""
    from testbed.bench_trampolines import measure

    return measure(with_aim)


def bench_rcu(bench: Bench) -> Figures:  # noqa: ARG001
    """Measure the kinds of RCU beside liburcu's, with a core of its own."""
    from testbed.bench_rcu import measure

    return measure(with_aim)


def _uprobe_round(bench: Bench, machine: Machine, thread: int) -> dict[str, float]:
    figures = {}
    for name in ("nop", "push"):
        address = machine.address_of(f"bench_uprobe_{name}")
        uprobe = Uprobe(bench.core.path, address)
        plain = measured(machine, "bench_calls", address, CALLS)
        with uprobe.attached(thread) as handle:
            probed = measured(machine, "bench_calls", address, 5 * TRAPS)
            if hits(handle) != 5 * TRAPS:
                raise UprobeUnable(f"of {5 * TRAPS} hits of a uprobe {hits(handle)} were counted")
        figures[f"{name}_hit_ns"] = probed - plain
    start = time.perf_counter()
    for _ in range(UPROBE_PAIRS):
        with uprobe.attached(thread):
            pass
    figures["pairs_per_s"] = UPROBE_PAIRS / (time.perf_counter() - start)
    return figures


def _server_thread(machine: Machine) -> int:
    """Return the thread of CPU 0 that serves requests, and so runs what is measured."""
    tasks = machine.record["task"]
    (index,) = (tasks["name"] == b"requests").nonzero()[0]
    return int(tasks["tid"][index])


def with_aim(
    figures: Figures, name: str, at_most: float | None = None, at_least: float | None = None
) -> Figures:
    """Put an aim beside a figure, and whether it is met."""
    value = figures[name]
    if at_most is not None:
        figures[f"{name}_aim_at_most"] = at_most
        figures[f"{name}_met"] = value <= at_most
    if at_least is not None:
        figures[f"{name}_aim_at_least"] = at_least
        figures[f"{name}_met"] = value >= at_least
    return figures


MEASUREMENTS: dict[str, Callable[[Bench], Figures]] = {
    "boot": bench_boot,
    "hit": bench_hit,
    "pairs": bench_pairs,
    "waits": bench_waits,
    "kmalloc": bench_kmalloc,
    "uprobe": bench_uprobe,
    "explore": bench_explore,
    "trampolines": bench_trampolines,
    "rcu": bench_rcu,
}


def run(names: Sequence[str] = ()) -> Figures:
    """Measure, and return figures by measurement; units end the names.

    Args:
        names: of `MEASUREMENTS`; none = all.

    Returns:
        ``system`` tells where it was measured; ``aims_missed`` names each figure that is not what
        it should be.

    Raises:
        BenchError: there is no measurement of that name, or it cannot be made.
    """
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        raise BenchError(
            f"{unknown[0]}: no such measurement; there are {', '.join(MEASUREMENTS)}"
        )
    bench = Bench()
    results: Figures = {"system": system()}
    for name, measure in MEASUREMENTS.items():
        if not names or name in names:
            results[name] = measure(bench)
    results["aims_missed"] = missed(results)
    return results


def missed(results: Figures, prefix: str = "") -> list[str]:
    """Return the dotted names of the figures that miss their aim."""
    found = []
    for name, value in results.items():
        if isinstance(value, dict):
            found += missed(value, f"{prefix}{name}.")
        elif name.endswith("_met") and not value:
            found.append(prefix + name.removesuffix("_met"))
    return found


def system() -> Figures:
    """Return what the figures depend on most."""
    return {
        "version": __version__,
        "compiler": find_compiler().version(),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": usable_cores(),
        "others_running": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
