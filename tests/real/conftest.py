"""What tests of real machines share: one core with all their C tasks, and machines of it.

Machines are small and short, since several tests run at once on few cores. Nothing here sleeps to
be in time for something: a test waits until a condition holds, and fails when it never does.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testbed.build import Core, Request, build
from testbed.errors import MachineFrozen
from testbed.machine import Machine, MachineConfig, State
from testbed.symbols import Symbols
from testbed.testing.real import image_for
from testbed.text.image import Image

HERE = Path(__file__).parent
SOURCES = ("locks.c", "calls.c", "readers.c", "task_readers.c", "probes.c", "srcu.c", "works.c")

# Longer than anything here takes on a busy machine, s.
PATIENCE = 30.0

MakeMachine = Callable[..., Machine]


@pytest.fixture(scope="session")
def sources() -> tuple[Path, ...]:
    """The C tasks beside these tests."""
    return tuple(HERE / name for name in SOURCES)


@pytest.fixture(scope="session")
def core(sources: tuple[Path, ...]) -> Core:
    """The stock core with the C tasks of these tests; built once, then from the cache."""
    return build(Request(extra=sources))


@pytest.fixture(scope="session")
def image(core: Core) -> Image:
    """The assembled functions, without a library."""
    return image_for(core)


@pytest.fixture
def machine(core: Core, image: Image) -> Iterator[MakeMachine]:
    """Boot machines, by the values of their MachineConfig; they end with the test."""
    with ExitStack() as booted:
        yield partial(_boot, booted, core, image)


def _boot(booted: ExitStack, core: Core, image: Image, **config: Any) -> Machine:
    return booted.enter_context(Machine(core, image, MachineConfig(**{"cpus": 2} | config)))


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Return True once `condition` holds, False if it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def kinds(machine: Machine) -> list[str]:
    """Return the kinds of the findings made, without FINDING_."""
    names = {value: name for name, value in machine.layout.enum("finding_kind").items()}
    return [names[int(kind)].removeprefix("FINDING_") for kind in machine.findings["kind"]]


def provoke(machine: Machine, cpu: int, function: str, argument: int = 0) -> Any:
    """Run a task that a finding must stop, and return that finding."""
    with suppress(MachineFrozen):  # The task may be stopped before its start is confirmed.
        machine.spawn(cpu, function, argument)
    assert machine.wait(PATIENCE) is State.FROZEN
    assert len(machine.findings) == 1
    return machine.findings[0]


def function_at(machine: Machine, address: int) -> str:
    """Return the function of the core that `address` lies in."""
    return Symbols.of(machine.core).places(address)[0].function


def stack_of(machine: Machine, side: Any) -> list[str]:
    """Return the functions on the stack of one side of a finding, innermost first."""
    symbols = Symbols.of(machine.core)
    return [
        place.function
        for address in side["stack"] if address
        for place in symbols.places(int(address) - 1)
    ]  # fmt: skip
