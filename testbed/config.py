"""How a machine is set up: how many CPUs, how fast the timer, when a wait is a hang."""

import os
from dataclasses import dataclass, field
from enum import StrEnum

from testbed.errors import MachineUnable

MAX_CPUS = 64


class Poke(StrEnum):
    """How text is changed while other CPUs run it."""

    INT3 = "int3"
    STOP_MACHINE = "stop_machine"


class Preempt(StrEnum):
    """Where a task may lose its CPU: anywhere, or only where it blocks, yields or asks."""

    FULL = "full"
    NONE = "none"


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class MachineConfig:
    """The setup of a machine.

    Attributes:
        cpus: 1 to 64.
        cores: cores that the machine may use at once; what this process may use by default.
        tick_us: the timer's period, us; 0 = no preemption.
        hang_ms: a waiter older than this is a finding, ms; 0 = never.
        stall_ms: a grace period older than this is a finding, ms.
        poke: how text is changed.
        preempt: where a task may lose its CPU.
        seed: of every random choice; 64 bits.
        fail_arm: arming a probe fails once in so many times; 0 = never.
        fail_alloc: allocating memory fails once in so many times; 0 = never.
        write_delay: between two bytes of one write to text, cycles; 0 = none.
        device_us: a scenario's own devices and NMIs come so often, us on average; 0 = never.
        reuse_delay: freed trampolines that are kept before one is used again.
        pin: pin CPUs to cores when there are enough.
        heap_mb: memory for kmalloc(), MB.
        harness_mb: memory for blocks that Python hands to C tasks, MB.

    Raises:
        MachineUnable: a value that no machine can have.
    """

    cpus: int = 4
    cores: int = field(default_factory=usable_cores)
    tick_us: int = 1000
    hang_ms: int = 10000
    stall_ms: int = 5000
    poke: Poke | str = Poke.INT3
    preempt: Preempt | str = Preempt.FULL
    seed: int = 0
    fail_arm: int = 0
    fail_alloc: int = 0
    write_delay: int = 0
    device_us: int = 100
    reuse_delay: int = 64
    pin: bool = False
    heap_mb: int = 16
    harness_mb: int = 4

    def __post_init__(self) -> None:
        self._check("cpus", 1, MAX_CPUS, f"a machine has 1 to {MAX_CPUS} CPUs")
        self._check("cores", 1, 1 << 16, "a machine has at least 1 core")
        for name in (
            "tick_us", "hang_ms", "stall_ms", "fail_arm", "fail_alloc", "write_delay", "device_us",
            "reuse_delay",
        ):  # fmt: skip
            self._check(name, 0, (1 << 32) - 1, "a number of 32 bits, 0 or more")
        self._check("seed", 0, (1 << 64) - 1, "a number of 64 bits, 0 or more")
        self._check("heap_mb", 1, 1 << 16, "at least 1 MB, at most 64 GB")
        self._check("harness_mb", 1, 1 << 16, "at least 1 MB, at most 64 GB")
        if self.poke not in tuple(Poke):
            raise MachineUnable(f"poke={self.poke}: text is poked by {' or '.join(Poke)}")
        if self.preempt not in tuple(Preempt):
            raise MachineUnable(f"preempt={self.preempt}: it is {' or '.join(Preempt)}")

    def _check(self, name: str, least: int, most: int, rule: str) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise MachineUnable(f"{name}={value}: {rule}")
