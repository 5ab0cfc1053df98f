"""The real machine: CPUs that are processes, over shared memory that Python looks into.

Python lays the memory out, starts the coordinator, and then asks: it never runs a mechanism
itself. Whatever happens to any of the processes, ending a machine leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import weakref
from enum import Enum
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from testbed.arena import Arena, TextImage
from testbed.cache import Core
from testbed.config import MachineConfig, Poke, Preempt
from testbed.errors import MachineFrozen, MachineLost, MachineTimeout, MachineUnable
from testbed.layout import Layout
from testbed.process import Coordinator, signal_name

__all__ = ["Machine", "MachineConfig", "Poke", "Preempt", "State", "TextImage"]

MASK = 2**64 - 1

BOOT_PATIENCE = 30.0  # s
CALL_PATIENCE = 60.0  # s

# A coordinator that shows no sign of life for so long is lost, s.
HEARTBEAT_PATIENCE = 20.0

# How often the heartbeat is looked at while waiting, s.
LOOK = 0.25


class State(Enum):
    """What a machine is doing: enum machine_state of the layout."""

    EMPTY = "empty"
    BOOTING = "booting"
    RUNNING = "running"
    FINISHED = "finished"
    FROZEN = "frozen"
    LOST = "lost"


ENDED = (State.FINISHED, State.FROZEN, State.LOST)


class Machine:
    """A booted machine; a context manager that ends it.

    Args:
        core: what its CPUs run.
        image: the text that they probe; None = none.
        config: how it is set up.

    Raises:
        MachineUnable: it cannot be booted here.
        MachineLost: it died while it booted.
    """

    def __init__(
        self,
        core: Core,
        image: TextImage | None = None,
        config: MachineConfig | None = None,
    ) -> None:
        _check_platform()
        self.core = core
        self.image = image
        self.config = config or MachineConfig()
        self.layout = Layout.of(core)
        self.arena = Arena(self.layout, self.config, image)
        self._states = {
            value: State[name.removeprefix("MACHINE_")]
            for name, value in self.layout.enum("machine_state").items()
        }
        self._lost = ""
        self._beat, self._beat_seen, self._looked = -1, 0.0, 0.0
        self._request_lock = threading.Lock()
        try:
            self._coordinator = Coordinator(core.path, self.arena.memfd)
            self._end = weakref.finalize(self, self._coordinator.end)
            self._record = self.arena.machine
            self._boot()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes and give the memory back. May be called twice.

        Views taken before stay readable; nothing writes to them any more.
        """
        try:
            if hasattr(self, "_end"):
                self._end()
        finally:
            self._record = None
            self.arena.close()

    # What it is doing.

    @property
    def record(self) -> Any:
        """The record of struct machine, live; ``.copy()`` keeps it as it is now."""
        if self._record is None:
            raise MachineLost("the machine is closed: its memory is gone")
        return self._record

    @property
    def state(self) -> State:
        """What it is doing now; a coordinator that is gone or silent makes it LOST."""
        self._look()
        return State.LOST if self._lost else self._states[int(self.record["state"])]

    @property
    def lost(self) -> str:
        """What happened, as a sentence, when the state is LOST; else empty."""
        if self.state is not State.LOST:
            return ""
        return self._lost or self._lost_cpu()

    @property
    def findings(self) -> NDArray[Any]:
        """Copies of the findings that were made, as struct finding, in their order."""
        made = self.record["finding"]
        complete: NDArray[Any] = made[made["kind"] != 0].copy()
        return complete

    def wait(self, timeout: float | None = None) -> State:
        """Return once all user tasks have ended, a finding was made, or the machine is lost.

        Args:
            timeout: for how long to wait, s; None = until then. The state tells the difference.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            state = self.state
            left = LOOK if deadline is None else deadline - time.monotonic()
            if state in ENDED or left <= 0:
                return state
            self._coordinator.hear(min(left, LOOK))

    def stop(self) -> None:
        """Ask the user tasks to end; `wait` tells when they have."""
        self.record["stop"] = 1

    def cpu_stats(self) -> NDArray[Any]:
        """Return each CPU's counters now: a record of ``nr_irqs``, ``nr_switches`` and so on."""
        cpus = self.record["cpu"][: self.config.cpus]
        names = [name for name in cpus.dtype.names if name.startswith("nr_")]
        stats = np.empty(len(cpus), [(name, cpus.dtype[name]) for name in names])
        for name in names:
            stats[name] = cpus[name]
        return stats

    # What is in its memory.

    def view(self, address: int, dtype: str | np.dtype[Any], count: int = 1) -> NDArray[Any]:
        """Return `count` items at an address, live; see `Arena.view`."""
        return self.arena.view(address, dtype, count)

    def global_(self, name: str, file: str = "") -> NDArray[Any]:
        """Return a global of the core, live; see `Arena.global_`."""
        return self.arena.global_(name, file)

    def read(self, address: int, size: int) -> bytes:
        """Return a copy of memory; see `Arena.read`."""
        return self.arena.read(address, size)

    def alloc(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory for a block that C tasks get; see `Arena.alloc`."""
        return self.arena.alloc(what, count)

    def alloc_constant(self, what: str | int | np.dtype[Any], count: int = 1) -> int:
        """Take memory that nobody writes later; see `Arena.alloc_constant`."""
        return self.arena.alloc_constant(what, count)

    def address_of(self, symbol: str) -> int:
        """Return the address of a function or global of the core.

        Raises:
            LayoutError: there is none of that name.
        """
        return self.layout.symbol(symbol).address

    # What it is asked to do.

    def call(self, function: str | int, *args: int, timeout: float = CALL_PATIENCE) -> int:
        """Call a C function with up to five numbers, on a task of CPU 0.

        Args:
            function: a symbol of the core, or an address.
            args: negative ones count as 64 bits.
            timeout: for the call to return, s.

        Returns:
            The result as a signed number of 64 bits: of a function that returns an ``int``, only
            the lower half means anything.

        Raises:
            MachineFrozen: a finding was made meanwhile.
            MachineLost: the machine died meanwhile.
            MachineTimeout: it did not return in time.
        """
        address = self.address_of(function) if isinstance(function, str) else function
        return self._request("REQUEST_CALL", (address, *args), timeout, f"{function}()")

    def spawn(
        self, cpu: int, function: str | int, argument: int = 0, name: str = "", user: bool = True
    ) -> int:
        """Start a task; return its index in ``record["task"]``.

        Args:
            cpu: where it runs, for ever.
            function: ``s64 f(void *)``, by symbol or address.
            argument: what it gets, mostly an address from `alloc`.
            name: for reports; the function's name by default; 31 bytes at most are kept.
            user: the run is finished when all user tasks have ended.

        Raises:
            MachineUnable: no such CPU, or too many tasks.
        """
        if not 0 <= cpu < self.config.cpus:
            raise MachineUnable(f"cpu={cpu}: this machine has CPUs 0 to {self.config.cpus - 1}")
        address = self.address_of(function) if isinstance(function, str) else function
        text = (name or str(function)).encode()[:31] + b"\0"
        place = self.alloc(len(text))
        self.view(place, "u8", len(text))[:] = np.frombuffer(text, np.uint8)
        args = (cpu, address, argument, place, int(user))
        task = self._request("REQUEST_SPAWN", args, CALL_PATIENCE, f"starting {name or function}")
        if task < 0:
            raise MachineUnable(
                f"{name or function}: {os.strerror(-task)}: a machine has at most "
                f"{self.layout.constant('MAX_TASKS')} tasks"
            )
        return task

    def text_call(self, address: int, a: int = 0, b: int = 0) -> int:
        """Call ``u64 f(u64, u64)`` of the text, probed or not; see `call` for the errors."""
        what = f"the text function at {address:#x}"
        return self._request("REQUEST_TEXT_CALL", (address, a, b), CALL_PATIENCE, what) & MASK

    def _boot(self) -> None:
        deadline = time.monotonic() + BOOT_PATIENCE
        while self.state in (State.EMPTY, State.BOOTING):
            if time.monotonic() > deadline:
                raise MachineUnable(f"the machine did not boot within {BOOT_PATIENCE:.0f} s")
            self._coordinator.hear(LOOK)
        if self.state is State.LOST:
            self._raise_boot_error()

    def _raise_boot_error(self) -> None:
        error = int(self.record["boot_error"])
        if not error:
            raise MachineLost(f"while it booted: {self.lost}")
        steps = {value: name for name, value in self.layout.enum("boot_step").items()}
        step = steps.get(int(self.record["boot_step"]), "BOOT_").removeprefix("BOOT_").lower()
        raise MachineUnable(f"the machine does not boot: {step}: {os.strerror(abs(error))}")

    def _request(self, operation: str, args: tuple[int, ...], timeout: float, what: str) -> int:
        states = self.layout.enum("request_state")
        with self._request_lock:
            request = self._free_request(states)
            request["op"] = self.layout.enum("request_op")[operation]
            request["args"] = 0
            request["args"][: len(args)] = [argument & MASK for argument in args]
            request["state"] = states["REQUEST_READY"]
            self._coordinator.ask()
            deadline = time.monotonic() + timeout
            while request["state"] != states["REQUEST_DONE"]:
                self._check_able(what)
                if time.monotonic() > deadline:
                    raise MachineTimeout(f"{what} did not return within {timeout:g} s")
                self._coordinator.hear(LOOK)
            result = int(request["result"])
            request["state"] = states["REQUEST_EMPTY"]
        return result

    def _free_request(self, states: dict[str, int]) -> Any:
        for request in self.record["request"]:
            # One that is done, while nobody waits, was given up by a timeout.
            if request["state"] != states["REQUEST_READY"]:
                return request
        raise MachineTimeout("every place for requests is taken by a call that did not return")

    def _check_able(self, what: str) -> None:
        state = self.state
        if state is State.FROZEN:
            raise MachineFrozen(f"{what} did not return: the machine has stopped with a finding")
        if state is State.LOST:
            raise MachineLost(f"{what} did not return: {self.lost}")

    def _look(self) -> None:
        """Find out whether the coordinator lives and turns."""
        if self._lost:
            return
        ended = self._coordinator.exit_text()
        if ended is not None:
            self._lost = f"the coordinator of the machine {ended}"
            return
        now, beat = time.monotonic(), int(self.record["heartbeat"])
        booting = self._states[int(self.record["state"])] in (State.EMPTY, State.BOOTING)
        # Time in which nobody looked does not count: it may be Python that was stopped.
        if beat != self._beat or booting or now - self._looked > 4 * LOOK:
            self._beat, self._beat_seen = beat, now
        self._looked = now
        if now - self._beat_seen > HEARTBEAT_PATIENCE:
            self._coordinator.give_up()
            self._lost = (
                "the coordinator of the machine shows no sign of life for "
                f"{HEARTBEAT_PATIENCE:.0f} s: it was stopped, or the system is overloaded"
            )

    def _lost_cpu(self) -> str:
        """Return what the coordinator noted of the CPU that it lost."""
        kind = self.layout.enum("finding_kind")["FINDING_CPU_LOST"]
        for finding in self.findings:
            if finding["kind"] == kind:
                cpu, pid, status = (int(value) for value in finding["value"][:3])
                return f"CPU {cpu} (process {pid}) {_wait_text(status >> 16, status & 0xFFFF)}"
        return "a CPU of the machine is lost"


def _wait_text(code: int, status: int) -> str:
    """Return how a child changed, from the fields of siginfo."""
    if code == os.CLD_EXITED:
        return f"ended with status {status}"
    verb = "was stopped by" if code == os.CLD_STOPPED else "was killed by"
    return f"{verb} {signal_name(status)}"


def _check_platform() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.maxsize < 2**32:
        raise MachineUnable(
            f"{platform.system()} {platform.machine()}: the real machine needs Linux on x86-64"
        )
