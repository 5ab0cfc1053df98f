"""``testbed stress`` from outside: JSON, Ctrl-C, a full disk, and two runs at once."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.findings import Summary, Verdict, decode
from testbed.paths import project_root
from testbed.runs import list_runs


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "testbed", "stress", "kprobe_storm", "--cpus", "2", *arguments],
        cwd=project_root(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def until_it_runs(run: "subprocess.Popen[str]") -> None:
    """Return at a line of progress that comes when the machine has run for a second or more."""
    assert run.stdout is not None
    for line in run.stdout:
        if re.match(r"[1-9]\d*\.\d s  ", line):
            return
    raise AssertionError(run.communicate())


def children(pid: int) -> set[int]:
    done = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(pid): int(ppid) for pid, ppid in
               (line.split() for line in done.stdout.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if os.path.exists(f"/proc/{pid}")}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "testbed", str(tmp_path)],
        capture_output=True, check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_run_writes_one_json_document_and_a_report(tmp_path: Path) -> None:
    run = start("--duration", "1s", "--seed", "7", "--json", "--runs", str(tmp_path))
    output, said = run.communicate(timeout=120)
    summary = decode(output.encode())

    assert isinstance(summary, Summary)
    assert summary.verdict is Verdict.HELD, said
    assert run.returncode == 0
    assert summary.seed == 7
    assert summary.counters["probed calls"] > 0
    assert said.startswith("testbed 0.1.0  stress kprobe_storm  seed 7  ")
    assert [found.summary for found in list_runs(tmp_path)] == [summary]
    command = " ".join(summary.command)
    assert command == "testbed stress kprobe_storm --cpus 2 --seed 7 --duration 1s"


def test_the_first_ctrl_c_ends_the_run_with_a_verdict_and_leaves_nothing(tmp_path: Path) -> None:
    run = start("--duration", "5m", "--runs", str(tmp_path))
    until_it_runs(run)
    workers = children(run.pid)
    run.send_signal(signal.SIGINT)
    output, said = run.communicate(timeout=90)

    assert workers, "it ran"
    assert alive(workers) == set()
    assert output.splitlines()[-2].startswith(("unknown: kprobe_storm: ", "held: kprobe_storm: "))
    assert "Traceback" not in said


def test_the_second_ctrl_c_stops_at_once_and_nothing_is_claimed(tmp_path: Path) -> None:
    run = start("--duration", "5m", "--runs", str(tmp_path))
    until_it_runs(run)
    workers = children(run.pid)
    run.send_signal(signal.SIGINT)
    time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    output, said = run.communicate(timeout=90)

    assert alive(workers) == set()
    assert "Traceback" not in said
    if run.returncode == 3:
        assert "unknown: kprobe_storm: " in output
        assert list_runs(tmp_path)[0].summary is not None


def test_a_full_disk_is_told_and_the_run_has_not_held(small_disk: Path) -> None:
    # Nothing but the folder and its first lines fits.
    (small_disk / "filler").write_bytes(b"x" * (44 << 10))
    run = start("--duration", "1s", "--json", "--runs", str(small_disk))
    output, said = run.communicate(timeout=120)

    assert run.returncode == 3, said
    assert json.loads(output)["verdict"] == "unknown"
    assert "no space left on device; free some space or use --runs DIR" in said
    assert "Traceback" not in said
    assert list(small_disk.glob("*/run.json")) == []


def test_two_runs_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    runs = [start("--duration", "1s", "--runs", str(tmp_path)) for _ in range(2)]
    for run in runs:
        output, said = run.communicate(timeout=120)
        assert run.returncode == 0, output + said

    assert len(list_runs(tmp_path)) == 2
    assert all(found.summary is not None for found in list_runs(tmp_path))
