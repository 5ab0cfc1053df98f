"""What the kinds of RCU cost: a reader, a grace period, a callback; ours beside liburcu's.

liburcu's readers are threads of one process, ours are CPUs: processes, each with its own tasks and
interrupts. Both are busy readers, one section after the other, and both are measured in the same
rounds, one after the other, so that what else the system does falls on both alike.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from testbed.bench import measured
from testbed.build import Core, Request, build
from testbed.config import MachineConfig, Preempt, usable_cores
from testbed.errors import TestbedError
from testbed.machine import Machine
from testbed.paths import project_root
from testbed.text.image import build_image
from testbed.toolchain import find_compiler

Figures = dict[str, Any]
Aim = Callable[..., Figures]

ROUNDS = 3
READER_COUNTS = (1, 2, 4, 8)
READS = 1_000_000
CALLS, CALL_ROUNDS = 10_000, 10
GRACE_NS = 30_000_000

# In bench_rcu.c: what is read, what waits for those readers, what calls back.
READ = ("rcu", "srcu", "srcu_fast", "tasks_trace")
GRACE = {
    "rcu": ("rcu", "rcu_expedited", "tasks_rude"),
    "srcu": ("srcu", "srcu_expedited"),
    "srcu_fast": ("srcu_fast",),
    "tasks": ("tasks",),
    "tasks_trace": ("tasks_trace",),
}
CALL = ("rcu",)

LIBURCU = ("memb", "mb", "qsbr")
LIBURCU_PATIENCE_S = 60.0

# Against liburcu's memb flavour, in the same run.
READ_AIM, GRACE_AIM = 1.0, 3.0


class LiburcuError(TestbedError):
    """A program of liburcu's failed."""


class Liburcu:
    """Its flavours as programs that measure themselves; none where it is not installed."""

    def __init__(self, folder: Path) -> None:
        source = project_root() / "stress" / "bench_liburcu.c"
        self.programs: dict[str, Path] = {}
        for flavour in LIBURCU:
            program = folder / flavour
            made = subprocess.run(
                [find_compiler().path, "-O2", f"-DFLAVOUR_{flavour}", source, "-o", program,
                 f"-lurcu-{flavour}", "-lurcu-common", "-pthread"],
                check=False, capture_output=True,
            )  # fmt: skip
            if made.returncode == 0:
                self.programs[flavour] = program

    def measured(self, flavour: str, *what: object) -> float:
        """Return what one of something took, ns.

        Raises:
            LiburcuError: its program failed.
        """
        done = subprocess.run(
            [self.programs[flavour], *map(str, what)],
            check=False, capture_output=True, text=True, timeout=LIBURCU_PATIENCE_S,
        )  # fmt: skip
        words = done.stdout.split()
        if done.returncode != 0 or len(words) != 2:
            raise LiburcuError(f"liburcu {flavour}: its measurement of {what[0]} failed")
        return int(words[1]) / max(int(words[0]), 1)


def measure(with_aim: Aim) -> Figures:
    """Measure everything.

    Args:
        with_aim: puts an aim beside a figure, and whether it is met.

    Returns:
        Read sides in ns, grace periods in us by the number of readers, callbacks per second.
    """
    core = build(Request(extra=(project_root() / "stress" / "bench_rcu.c",)))
    found: dict[tuple[str, ...], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="testbed-liburcu-") as folder:
        liburcu = Liburcu(Path(folder))
        for _ in range(ROUNDS):
            for path, value in _round(core, liburcu):
                found.setdefault(path, []).append(value)
    figures: Figures = {"cores": usable_cores()}
    if not liburcu.programs:
        figures["liburcu"] = "not measured: it is not installed (Debian's liburcu-dev)"
    for path, values in found.items():
        _put(figures, path, median(values))
    return _with_aims(figures, with_aim)


def _round(core: Core, liburcu: Liburcu) -> Iterator[tuple[tuple[str, ...], float]]:
    """Make each measurement once, and return where it belongs and what it gave."""
    with _booted(core, 1) as machine:
        for name in READ:
            yield ("read_ns", name), measured(machine, f"bench_{name}_read", READS)
        for name in CALL:
            ns = measured(machine, f"bench_{name}_calls", CALLS, CALL_ROUNDS)
            yield ("callbacks_per_s", name), 1e9 / ns
    with _booted(core, 1, Preempt.NONE) as machine:
        yield ("read_ns", "rcu_preempt_none"), measured(machine, "bench_rcu_read", READS)
    for flavour in liburcu.programs:
        yield ("read_ns", f"liburcu_{flavour}"), liburcu.measured(flavour, "read", READS)
        ns = liburcu.measured(flavour, "call", CALLS, CALL_ROUNDS)
        yield ("callbacks_per_s", f"liburcu_{flavour}"), 1e9 / ns
    for readers in READER_COUNTS:
        group = f"grace_period_us_{readers}_readers"
        for kind, names in GRACE.items():
            with _reading(core, readers, f"bench_{kind}_reader") as machine:
                for name in names:
                    ns = measured(machine, f"bench_{name}_grace_periods", GRACE_NS)
                    yield (group, name), ns / 1e3
        for flavour in liburcu.programs:
            yield (group, f"liburcu_{flavour}"), (
                liburcu.measured(flavour, "grace", GRACE_NS, readers) / 1e3
            )


@contextmanager
def _booted(core: Core, cpus: int, preempt: Preempt = Preempt.FULL) -> Iterator[Machine]:
    config = MachineConfig(cpus=cpus, hang_ms=0, stall_ms=0, preempt=preempt)
    with Machine(core, build_image(library=None, imports={}), config) as machine:
        yield machine


@contextmanager
def _reading(core: Core, readers: int, function: str) -> Iterator[Machine]:
    """Return a machine all of whose CPUs but CPU 0 read, and were seen to."""
    with _booted(core, readers + 1) as machine:
        for cpu in range(1, readers + 1):
            machine.spawn(cpu, function, 0)
        reads = machine.global_("bench_rcu_reads")
        deadline = time.monotonic() + 10
        while not reads[1 : readers + 1, 0].all() and time.monotonic() < deadline:
            time.sleep(0.001)
        yield machine


def _put(figures: Figures, path: tuple[str, ...], value: float) -> None:
    for name in path[:-1]:
        figures = figures.setdefault(name, {})
    figures[path[-1]] = value


def _with_aims(figures: Figures, with_aim: Aim) -> Figures:
    """Add how ours compare with liburcu's memb flavour."""
    memb = "liburcu_memb"
    reads = figures["read_ns"]
    if memb in reads:
        reads["rcu_per_liburcu_memb"] = reads["rcu"] / reads[memb]
        with_aim(reads, "rcu_per_liburcu_memb", at_most=READ_AIM)
    for readers in READER_COUNTS:
        group = figures[f"grace_period_us_{readers}_readers"]
        if memb in group:
            group["rcu_per_liburcu_memb"] = group["rcu"] / group[memb]
            with_aim(group, "rcu_per_liburcu_memb", at_most=GRACE_AIM)
    return figures
