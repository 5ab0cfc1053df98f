"""A machine as Python has it: boot, ask, look, end; and what is left when something dies."""

import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from testbed.build import Core, Request, build
from testbed.errors import (
    LayoutError,
    MachineFrozen,
    MachineLost,
    MachineTimeout,
    MachineUnable,
)
from testbed.machine import Machine, MachineConfig, State
from testbed.symbols import Symbols

SILENT = (
    "the coordinator of the machine shows no sign of life for 2 s: "
    "it was stopped, or the system is overloaded"
)

TASKS = Path(__file__).with_name("machine_tasks.c")


@pytest.fixture(scope="module")
def core() -> Core:
    return build(Request(extra=(TASKS,)))


@pytest.fixture
def machine(core: Core) -> Iterator[Machine]:
    with nothing_left(), Machine(core, None, MachineConfig(cpus=2)) as booted:
        yield booted


def processes_of(machine: Machine) -> list[int]:
    cpus = machine.record["cpu"]["pid"][: machine.config.cpus]
    return [int(machine.record["coordinator"]), *(int(pid) for pid in cpus)]


def alive(pid: int) -> bool:
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return status != psutil.STATUS_ZOMBIE


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check that no child process and no file descriptor is left."""
    children = set(psutil.Process().children(recursive=True))
    descriptors = sorted(os.listdir("/proc/self/fd"))
    yield
    assert set(psutil.Process().children(recursive=True)) <= children
    assert sorted(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("cpus", [1, 2, 16, 64])
def test_a_machine_boots_runs_and_leaves_nothing(core: Core, cpus: int) -> None:
    with nothing_left():
        with Machine(core, None, MachineConfig(cpus=cpus)) as machine:
            processes = processes_of(machine)
            assert len(set(processes)) == cpus + 1
            assert all(alive(pid) for pid in processes)
            assert machine.state is State.RUNNING
        assert not any(alive(pid) for pid in processes)


def test_a_call_returns_what_c_returns(machine: Machine) -> None:
    assert machine.call("add", 2, 3) == 5
    assert machine.call(machine.address_of("add"), 2, -30) == -28
    assert machine.call("add", 2**63 - 1, 1) == -(2**63)
    assert int(machine.global_("calls")) == 3


def test_a_global_is_written_through(machine: Machine) -> None:
    machine.global_("calls")[...] = 40
    machine.call("add", 0, 0)

    assert int(machine.global_("calls")) == 41
    assert machine.read(machine.address_of("calls"), 8) == (41).to_bytes(8, "little")


def test_tasks_run_where_they_were_put_until_they_are_stopped(machine: Machine) -> None:
    blocks = [machine.alloc("struct turns") for _ in range(4)]
    for number, block in enumerate(blocks):
        task = machine.spawn(number % 2, "turn_until_stopped", block, f"turns/{number}")
        assert machine.record["task"][task]["name"] == f"turns/{number}".encode()

    assert machine.wait(0.2) is State.RUNNING
    machine.stop()
    assert machine.wait(10) is State.FINISHED

    records = [machine.view(block, "struct turns")[0] for block in blocks]
    assert [int(record["cpu"]) for record in records] == [0, 1, 0, 1]
    assert all(record["turns"] > 0 for record in records)
    assert (machine.cpu_stats()["nr_switches"] > 0).all()


def test_memory_for_tasks_does_not_overlap_and_ends(machine: Machine) -> None:
    first, second = machine.alloc(1), machine.alloc("struct turns", 10)

    assert second - first == 64
    with pytest.raises(MachineUnable, match="harness_mb=4: 8388608 bytes more do not fit"):
        machine.alloc(8 << 20)


def test_an_address_that_is_not_shared_is_refused(machine: Machine) -> None:
    for address in (0, machine.address_of("add"), 2**63):
        with pytest.raises(LayoutError, match="8 bytes from here are not shared memory"):
            machine.read(address, 8)


def test_a_crash_is_a_finding_with_its_place(machine: Machine) -> None:
    with pytest.raises(MachineFrozen, match=r"write_to\(\) did not return"):
        machine.call("write_to", 0x1234)

    assert machine.state is State.FROZEN
    (finding,) = machine.findings
    assert finding["kind"] == machine.layout.enum("finding_kind")["FINDING_CRASH"]
    assert finding["value"][:2].tolist() == [signal.SIGSEGV, 0x1234]
    lines = TASKS.read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if "/* write_to */" in text)
    place = Symbols.of(machine.core).places(int(finding["regs"]["ip"]))[0]
    assert (place.function, place.line) == ("write_to", line)


def test_a_call_that_takes_too_long_can_be_given_up(machine: Machine) -> None:
    with pytest.raises(MachineTimeout, match=r"wait_for_gate\(\) did not return within 0.1 s"):
        machine.call("wait_for_gate", timeout=0.1)

    machine.global_("gate")[...] = 1
    assert machine.call("add", 1, 1) == 2
    assert machine.call("wait_for_gate") == 7


def test_what_cannot_be_asked_for_is_said(machine: Machine) -> None:
    with pytest.raises(MachineUnable, match="cpu=2: this machine has CPUs 0 to 1"):
        machine.spawn(2, "turn_until_stopped")
    with pytest.raises(LayoutError, match="no_such_function: the core of"):
        machine.call("no_such_function")


@pytest.mark.parametrize(
    ("who", "how", "sentence"),
    [
        (0, signal.SIGKILL, "the coordinator of the machine was killed by SIGKILL"),
        (1, signal.SIGKILL, "CPU 0 (process {pid}) was killed by SIGKILL"),
        (2, signal.SIGKILL, "CPU 1 (process {pid}) was killed by SIGKILL"),
        (2, signal.SIGSTOP, "CPU 1 (process {pid}) was stopped by SIGSTOP"),
        (0, signal.SIGSTOP, SILENT),
    ],
)  # fmt: skip
def test_a_process_that_dies_makes_the_machine_lost(
    core: Core, who: int, how: signal.Signals, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.machine.HEARTBEAT_PATIENCE", 2.0)
    with nothing_left():
        with Machine(core, None, MachineConfig(cpus=2)) as machine:
            processes = processes_of(machine)
            os.kill(processes[who], how)

            assert machine.wait(20) is State.LOST
            assert machine.lost == sentence.format(pid=processes[who])
            with pytest.raises(MachineLost, match=r"add\(\) did not return: "):
                machine.call("add", 1, 1)
        assert wait_until(lambda: not any(alive(pid) for pid in processes))


BOOT_AND_SLEEP = """\
import sys, time
from pathlib import Path
from typing import Any
from testbed.build import Request, build
from testbed.machine import Machine, MachineConfig
machine = Machine(build(Request(extra=(Path(sys.argv[1]),))), None, MachineConfig(cpus=2))
pids = [machine.record["coordinator"], *machine.record["cpu"]["pid"][:2]]
print(*map(int, pids), flush=True)
{then}
"""


@pytest.mark.parametrize("then", ["time.sleep(60)", "sys.exit()", "raise SystemError"])
def test_a_machine_ends_with_python_however_that_ends(core: Core, then: str) -> None:
    assert core.path.exists()
    python = subprocess.Popen(
        [sys.executable, "-c", BOOT_AND_SLEEP.format(then=then), TASKS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert python.stdout is not None
    processes = [int(pid) for pid in python.stdout.readline().split()]
    assert len(processes) == 3
    if "sleep" in then:
        python.kill()
    python.communicate(timeout=20)

    assert wait_until(lambda: not any(alive(pid) for pid in processes))


def test_a_machine_that_is_forgotten_ends(core: Core) -> None:
    with nothing_left():
        machine = Machine(core, None, MachineConfig(cpus=1))
        processes = processes_of(machine)
        del machine
        gc.collect()
        assert not any(alive(pid) for pid in processes)


def test_a_fork_of_python_does_not_end_its_machine(machine: Machine) -> None:
    child = os.fork()
    if not child:
        machine.close()
        os._exit(0)
    os.waitpid(child, 0)

    assert machine.call("add", 1, 2) == 3


def test_a_closed_machine_says_so(core: Core) -> None:
    machine = Machine(core, None, MachineConfig(cpus=1))
    machine.close()
    machine.close()

    with pytest.raises(MachineLost, match="the machine is closed"):
        machine.call("add", 1, 1)
    with pytest.raises(MachineLost, match="the machine is closed"):
        machine.read(machine.arena.base, 8)


def test_too_little_memory_is_an_error_before_boot(core: Core) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with nothing_left(), pytest.raises(MachineUnable, match="File too large"):
            Machine(core, None, MachineConfig(cpus=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_core_that_may_not_be_run_is_named(core: Core, tmp_path: Path) -> None:
    folder = shutil.copytree(core.path.parent, tmp_path / "core")
    (folder / "core").chmod(0o644)
    blunt = Core(folder / "core", core.build_id, core.compiler, core.sources, core.warnings)

    with nothing_left(), pytest.raises(MachineUnable, match="does not run: Permission denied"):
        Machine(blunt, None, MachineConfig(cpus=1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cpus": 99}, "cpus=99: a machine has 1 to 64 CPUs"),
        ({"cpus": 0}, "cpus=0: a machine has 1 to 64 CPUs"),
        ({"poke": "magic"}, "poke=magic: text is poked by int3 or stop_machine"),
        ({"seed": -1}, "seed=-1: a number of 64 bits, 0 or more"),
        ({"heap_mb": 0}, "heap_mb=0: at least 1 MB, at most 64 GB"),
    ],
)
def test_a_setup_that_no_machine_can_have_is_refused(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(MachineUnable) as caught:
        MachineConfig(**options)

    assert str(caught.value) == sentence
