"""Whatever dies, stops or fills up: nothing is left, nothing is called held, and it is said.

The command line runs in a process of its own. Its processes are found by walking down from it, so
tests at once do not see each other's; what it started is checked one by one.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from testbed.findings import Summary, Verdict
from testbed.paths import project_root
from testbed.runs import list_runs
from tests.real.conftest import PATIENCE, wait_until

CPUS = 3
UNKNOWN = 3


@dataclass
class CommandLine:
    """A running ``testbed stress`` and all processes that it was seen to have."""

    python: "subprocess.Popen[str]"
    runs: Path
    seen: dict[int, psutil.Process] = field(default_factory=dict)

    @classmethod
    def start(cls, runs: Path, *arguments: str) -> "CommandLine":
        """Start a run of kprobe_storm whose folder is in `runs`."""
        command = ["--cpus", str(CPUS), "--runs", str(runs), *arguments]
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", "testbed", "stress", "kprobe_storm", *command],
                cwd=project_root(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ),
            runs,
        )

    def look(self) -> dict[str, int]:
        """Return its processes now, by name."""
        found = {}
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.python.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    name = child.name()
                    if name.startswith("testbed/"):
                        self.seen[child.pid] = child
                        found[name] = child.pid
        return found

    def until_it_calls(self) -> dict[str, int]:
        """Return its processes by name, once callers were seen at work."""
        names = {"testbed/coord", *(f"testbed/cpu{cpu}" for cpu in range(CPUS))}
        assert wait_until(lambda: set(self.look()) == names or self.python.poll() is not None)
        # Callers compute: an idle machine does not use its CPUs.
        assert wait_until(lambda: self.computed() > 0.3 or self.python.poll() is not None)
        found = self.look()
        assert set(found) == names, self.finish()
        return found

    def until_it_tells(self) -> None:
        """Return at its first line of progress: before, there is no run to judge."""
        assert self.python.stdout is not None
        for line in self.python.stdout:
            if "  findings 0" in line:
                return
        raise AssertionError(self.finish())

    def computed(self) -> float:
        """Return how long its CPUs have run, s."""
        total = 0.0
        for one in self.seen.values():
            with suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def finish(self) -> tuple[str, str]:
        """Return what it wrote, once it has ended."""
        return self.python.communicate(timeout=90)

    def left(self) -> list[psutil.Process]:
        """Return which of the processes that were seen are still there; zombies do not count."""
        return [one for one in self.seen.values() if _runs(one)]

    def summary(self) -> Summary | None:
        """Return what the run's folder says of it; None: it did not end by itself."""
        (run,) = list_runs(self.runs)
        return run.summary

    def kill(self) -> None:
        """End what a failed test has left."""
        for one in self.left():
            with suppress(psutil.NoSuchProcess):
                one.kill()
        if self.python.poll() is None:
            self.python.kill()
        for pipe in (self.python.stdout, self.python.stderr):
            if pipe:
                pipe.close()
        self.python.wait()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[CommandLine]:
    """A run of kprobe_storm of 5 minutes."""
    shared = sorted(os.listdir("/dev/shm"))
    one = CommandLine.start(tmp_path, "--duration", "5m")
    yield one
    one.kill()
    assert sorted(os.listdir("/dev/shm")) == shared


def assert_unknown(storm: CommandLine, sentence: str) -> None:
    """The run has ended, says what happened, is not held, and has left nothing."""
    output, said = storm.finish()
    assert storm.python.returncode == UNKNOWN, output + said
    # What was being done when it happened may be said first.
    verdict = next(line for line in output.splitlines() if line.startswith("unknown: "))
    assert verdict.startswith("unknown: kprobe_storm: ")
    assert sentence in verdict
    assert "Traceback" not in said
    assert wait_until(lambda: not storm.left()), storm.left()
    summary = storm.summary()
    assert summary is not None
    assert summary.verdict is Verdict.UNKNOWN
    assert sentence in summary.reason


@pytest.mark.parametrize("cpu", [0, CPUS - 1])
def test_a_killed_cpu(storm: CommandLine, cpu: int) -> None:
    pid = storm.until_it_calls()[f"testbed/cpu{cpu}"]
    os.kill(pid, signal.SIGKILL)

    assert_unknown(storm, f"CPU {cpu} (process {pid}) was killed by SIGKILL")


def test_a_stopped_cpu(storm: CommandLine) -> None:
    pid = storm.until_it_calls()["testbed/cpu1"]
    os.kill(pid, signal.SIGSTOP)

    assert_unknown(storm, f"CPU 1 (process {pid}) was stopped by SIGSTOP")


def test_a_killed_coordinator(storm: CommandLine) -> None:
    os.kill(storm.until_it_calls()["testbed/coord"], signal.SIGKILL)

    assert_unknown(storm, "the coordinator of the machine was killed by SIGKILL")


def test_a_killed_python(storm: CommandLine) -> None:
    storm.until_it_calls()
    storm.python.kill()
    storm.finish()

    assert wait_until(lambda: not storm.left()), storm.left()
    # Nobody is there to say anything: a folder without a verdict, which is not held.
    assert storm.summary() is None


def test_ctrl_c_once_finishes_early_and_says_so(storm: CommandLine) -> None:
    storm.until_it_calls()
    storm.python.send_signal(signal.SIGINT)

    assert_unknown(storm, "interrupted after ")
    summary = storm.summary()
    assert summary is not None
    assert "nothing was found until then" in summary.reason
    assert summary.counters["calls"] > 0
    # It was audited: only the end of a run makes this one.
    assert (next(storm.runs.iterdir()) / "report.html").exists()


def test_asked_twice_it_stops_at_once(storm: CommandLine) -> None:
    pids = storm.until_it_calls()
    storm.until_it_tells()
    # It cannot finish while this one stands still, so the second signal comes in time; two of
    # a kind might become one.
    os.kill(pids["testbed/coord"], signal.SIGSTOP)
    storm.python.send_signal(signal.SIGINT)
    storm.python.send_signal(signal.SIGTERM)

    assert_unknown(storm, "it was stopped before it could be judged")


def test_a_terminal_that_goes_away(storm: CommandLine) -> None:
    storm.until_it_calls()
    storm.python.send_signal(signal.SIGTERM)

    assert_unknown(storm, "interrupted after ")


def test_a_full_disk(tmp_path: Path) -> None:
    # Once the machine stands, no file may grow beyond this: the report does not fit any more.
    storm = CommandLine.start(tmp_path, "--duration", "2s", "--json")
    try:
        storm.until_it_calls()
        resource.prlimit(storm.python.pid, resource.RLIMIT_FSIZE, (600, 600))
        output, said = storm.finish()
        assert storm.python.returncode == UNKNOWN, output + said
        assert json.loads(output)["verdict"] == "unknown"
        assert "file too large; free some space or use --runs DIR" in said
        assert "Traceback" not in said
        assert list(tmp_path.glob("*/run.json")) == []
        assert list(tmp_path.glob("*/.*")) == [], "no half of a file"
        assert wait_until(lambda: not storm.left())
    finally:
        storm.kill()


BOOT_MANY = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from testbed.build import Request, build
from testbed.machine import Machine, MachineConfig, State

core = build(Request(extra=tuple(map(Path, sys.argv[1:]))))
print("ready", flush=True)
sys.stdin.readline()

def one(number):
    with Machine(core, None, MachineConfig(cpus=4)) as machine:
        for cpu in range(4):
            machine.spawn(cpu, "call_each_often", 5)
        assert machine.wait(60) is State.FINISHED
        assert int(machine.global_("noted")["count"]) == 4 * 4 * 5
        return [int(machine.record["coordinator"]), *map(int, machine.record["cpu"]["pid"][:4])]

with ThreadPoolExecutor(2) as pool:
    for pids in pool.map(one, range(4)):
        print(*pids)
"""


def test_eight_machines_at_once(sources: tuple[Path, ...]) -> None:
    shared = sorted(os.listdir("/dev/shm"))
    pythons = [
        subprocess.Popen(
            [sys.executable, "-c", BOOT_MANY, *map(str, sources)], cwd=project_root(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    for python in pythons:
        assert python.stdout is not None
        assert python.stdout.readline() == "ready\n"
    # All of them go at the same moment, two machines each.
    for python in pythons:
        assert python.stdin is not None
        python.stdin.write("go\n")
        python.stdin.flush()
    for python in pythons:
        output, said = python.communicate(timeout=2 * PATIENCE)
        assert python.returncode == 0, said
        pids = [int(pid) for pid in output.split()]
        assert len(set(pids)) == 4 * 5
        assert not any(psutil.pid_exists(pid) for pid in pids)
    assert sorted(os.listdir("/dev/shm")) == shared
