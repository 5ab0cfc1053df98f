"""What explorer processes of one target start from: its core, and the memory of its machine.

A program with pthreads needs no more than its core. What is written in the kernel's vocabulary
gets the arena of a machine, which each explorer maps privately.
"""

from __future__ import annotations

from typing import Any

from testbed.arena import Arena
from testbed.cache import Core
from testbed.config import MachineConfig, Poke
from testbed.explore.names import TEXT
from testbed.explore.process import Choose, Closing, Explorer
from testbed.explore.story import KERNEL
from testbed.explore.tables import Entries, write_tasks
from testbed.explore.target import Target
from testbed.layout import Layout
from testbed.text.image import assembled_image

MACHINE_HEAP_MB = 4
NAME_LENGTH = 36  # struct explored_task


class World(Closing):
    """Where explorers of one target come from.

    Args:
        core: of the virtual flavour, with the target's files.
        target: what is explored.
        cpus: of the machine; 0 = as many as the target needs.
        preempt: where its tasks lose their CPU; "" = as the target says.

    Attributes:
        room: CPUs that memory was laid out for.
    """

    def __init__(self, core: Core, target: Target, cpus: int = 0, preempt: str = "") -> None:
        self.core, self.target = core, target
        self._preempt = preempt
        self.layout = Layout.of(core)
        self.is_kernel = KERNEL in self.layout.symbols()
        self.cpus = cpus or (target.scenario.cpus if target.scenario else 0)
        self.room = self.cpus
        self._arena: Arena | None = None
        self._entries = Entries()
        if self.is_kernel:
            image = assembled_image()
            self._arena = Arena(self.layout, self._config(target), image, globals_too=False)
            if target.scenario is not None:
                self._entries = write_tasks(self._arena, target.scenario)

    def _config(self, target: Target) -> MachineConfig:
        return MachineConfig(
            cpus=max(self.cpus, 1) if self.cpus else self.layout.constant("VIRTUAL_CPUS"),
            heap_mb=MACHINE_HEAP_MB,
            poke=target.scenario.poke if target.scenario else Poke.INT3,
            fail_arm=target.scenario.fail_arm if target.scenario else 0,
            preempt=self._preempt or target.preempt,
        )

    def change(self, target: Target) -> None:
        """Have another scenario explored, in memory that is laid out already.

        Args:
            target: of the same core, with no more CPUs than there is room for.
        """
        assert self._arena is not None
        assert target.scenario is not None
        assert target.scenario.cpus <= self.room
        self.target, self.cpus = target, target.scenario.cpus
        self._arena.configure(self._config(target))
        self._arena.forget()
        self._entries = write_tasks(self._arena, target.scenario)

    def explorer(self, index: int, choose: Choose | None = None) -> Explorer:
        """Return a new process."""
        arena = self._arena.memfd if self._arena is not None else -1
        return Explorer(self.core, index, arena, self._prepare, choose)

    def _prepare(self, record: Any) -> None:
        entries = self._entries
        record["cpus"], record["nr_tasks"] = self.cpus, len(entries.tasks)
        record["before"], record["check"] = entries.before, entries.check
        for entry, task in zip(record["task"], entries.tasks, strict=False):
            entry["function"], entry["argument"] = task.function, task.argument
            entry["cpu"], entry["name"] = task.cpu, task.name.encode()[: NAME_LENGTH - 1]
            entry["own"] = task.own
        record["nr_constants"] = len(entries.constants)
        for entry, constant in zip(record["constant"], entries.constants, strict=False):
            for name in ("start", "size", "stride", "count"):
                entry[name] = getattr(constant, name)
        record["nr_interrupts"] = len(entries.interrupts)
        for entry, interrupt in zip(record["interrupt"], entries.interrupts, strict=False):
            for name in ("function", "argument", "cpu", "nmi", "times"):
                entry[name] = getattr(interrupt, name)

    @property
    def check(self) -> int:
        """Address of the scenario's own check at the end; 0 = it has none."""
        return self._entries.check

    def regions(self) -> dict[str, tuple[int, int, int]]:
        """Return regions whose data has no other names: start, end, and bytes of each part."""
        if self._arena is None:
            return {}
        base, constant = self._arena.base, self.layout.constant
        stack = constant("TASK_STACK_SIZE") + constant("TRAP_STACK_SIZE")
        found = {}
        for name, title, part in (("STACKS", "stack of task", stack), ("HEAP", "heap", 0),
                                  ("HARNESS", "tables", 0), ("TEXT", TEXT, 0)):  # fmt: skip
            region = self._arena.regions[name]
            start = base + region.offset
            found[title] = (start, start + region.size, part or region.size)
        return found

    def close(self) -> None:
        """Give the memory back."""
        if self._arena is not None:
            self._arena.close()
