"""Every command of the README is run, for a moment instead of as long as it says."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cli import run as command_line
from testbed.explore import bench as explorer_bench
from testbed.paths import project_root

README = project_root() / "README.md"
HELD, VIOLATED, UNABLE, UNKNOWN = 0, 1, 2, 3
BENCH = "testbed bench "


def commands() -> Iterator[str]:
    for block in re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = line.split("  #")[0].strip()
            if command:
                yield command


def shortened(command: str) -> list[str]:
    command = re.sub(r"--duration \S+", "--duration 0.3s", command)
    command = command.replace("replay --real", "replay --real --attempts 10")
    return shlex.split(re.sub(r"--executions \S+", "--executions 2000", command))


def run(argv: list[str], runs: Path) -> int:
    """Run a command as it stands; testbed's own in this process, which is sooner ready."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_RUNS", str(runs))
        patch.chdir(project_root())
        if argv[0] == "testbed":
            return command_line(argv[1:])
        return subprocess.run(argv, timeout=150, check=False).returncode


def run_before(command: str, runs: Path) -> None:
    """Run what stands before a command: the latest run is that one's."""
    found = list(commands())
    before = found[found.index(command) - 1]
    if "latest" in before:
        run_before(before, runs)
    run(shortened(before), runs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one in it, for the commands that show reports."""
    folder = tmp_path_factory.mktemp("runs")
    assert run(["testbed", "stress", "kprobe_storm", "--cpus", "2", "--duration", "0.3s"],
               folder) == HELD  # fmt: skip
    return folder


def test_the_readme_has_the_two_commands_that_do_all_the_set_up() -> None:
    assert list(commands())[:2] == ["make stress", "make test"]


@pytest.mark.parametrize("command", [one for one in commands() if not one.startswith(BENCH)])
def test_a_command_of_the_readme_works(
    command: str, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = shortened(command)
    if argv[0] == "make":
        argv.insert(1, "--dry-run")
    if "latest" in argv:
        run_before(command, runs)
    broken = bool({"zoo", "--patch", "-D", "latest"} & set(argv))
    allowed = (HELD, VIOLATED, UNKNOWN) if broken else (HELD,)
    capfd.readouterr()

    status = run(argv, runs)

    told = capfd.readouterr()
    assert status in allowed, told.out + told.err
    assert "Traceback" not in told.err
    assert told.out


@pytest.mark.parametrize("command", [one for one in commands() if one.startswith(BENCH)])
def test_a_measurement_of_the_readme_works(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One round of each: how exact it is, is not asked here."""
    monkeypatch.setattr("testbed.bench.ROUNDS", 1)
    monkeypatch.setattr("testbed.bench_trampolines.ROUNDS", 1)
    monkeypatch.setattr("testbed.bench_rcu.ROUNDS", 1)
    monkeypatch.setattr("testbed.bench_rcu.READER_COUNTS", (1, 2))
    monkeypatch.setattr(explorer_bench, "ROUNDS", 1)
    for sizes in ("RUNS", "PROBED"):
        sized = dict.fromkeys(getattr(explorer_bench, sizes), 1000)
        monkeypatch.setattr(explorer_bench, sizes, sized)

    assert command_line(shlex.split(command)[1:]) == HELD
    output = capsys.readouterr().out
    assert output
    # What is counted there does not depend on who else computes here.
    if command == "testbed bench explore":
        assert output.count(str(explorer_bench.ADDITIONS_CLASSES)) == 2
