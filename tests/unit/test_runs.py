"""Run folders: unique, never half a report, honest when the disk is full."""

import json
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from testbed.findings import Finding, FindingError, Verdict, decode, encode
from testbed.report.model import from_machine
from testbed.runs import (
    RunFolder,
    RunFolderError,
    atomic_write,
    find_report,
    latest,
    list_runs,
    read_report,
    runs_folder,
)
from tests.unit.report_samples import crash, facts, held_run, reading, use_after_free


def findings() -> tuple[Finding, ...]:
    return tuple(
        next(iter(from_machine(made, facts(), reading()))) for made in (use_after_free(), crash())
    )


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse to make any file longer than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_chosen_by_option_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "env"))
    assert runs_folder() == tmp_path / "env"
    assert runs_folder(tmp_path) == tmp_path
    monkeypatch.delenv("TESTBED_RUNS")
    assert runs_folder() == Path("testbed-runs")


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(RunFolder.create("storm", tmp_path).path))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 12
    assert all((path / "findings").is_dir() for path in made)


def test_a_harness_given_by_path_makes_a_plain_name(tmp_path: Path) -> None:
    folder = RunFolder.create("../my harness.py", tmp_path)

    assert folder.path.parent == tmp_path
    assert folder.path.name.endswith("Z-my-harness.py")


def test_an_ended_run_leaves_every_file_and_all_can_be_read(tmp_path: Path) -> None:
    folder = RunFolder.create("storm", tmp_path)
    folder.event("start", cpus=4)
    folder.log("a line\n")
    summary = folder.finish(held_run(findings()))

    assert summary.verdict is Verdict.VIOLATED
    assert folder.problem is None
    signatures = [finding.signature for finding in findings()]
    expected = {"run.json", "report.html", "junit.xml", "sarif.json", "events.jsonl", "log.txt"}
    for signature in signatures:
        expected |= {f"findings/{signature}{end}" for end in
                     (".json", ".txt", ".html", ".trace.json")}
    assert names(folder.path) == expected
    assert read_report(folder.path / "run.json") == summary
    assert read_report(folder.path / f"findings/{signatures[0]}.json") == findings()[0]
    assert json.loads((folder.path / "events.jsonl").read_text())["cpus"] == 4


def test_events_are_appended_by_many_at_once_without_mixing(tmp_path: Path) -> None:
    folder = RunFolder.create("storm", tmp_path)

    def write_events() -> None:
        for _ in range(50):
            folder.event("e", text="x" * 500)

    threads = [
        threading.Thread(target=write_events) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    lines = (folder.path / "events.jsonl").read_text().splitlines()
    assert len(lines) == 200
    assert all(json.loads(line)["text"] == "x" * 500 for line in lines)


def test_when_nothing_fits_a_run_that_held_is_unknown_and_no_report_is_half(
    tmp_path: Path,
) -> None:
    folder = RunFolder.create("storm", tmp_path)
    with files_of_at_most(100):
        summary = folder.finish(held_run())

    assert summary.verdict is Verdict.UNKNOWN
    assert str(folder.problem) == summary.reason
    assert summary.reason.startswith(f"cannot write {folder.path}/")
    assert summary.reason.endswith("; free some space or use --runs DIR")
    assert names(folder.path) == set()


def test_when_nothing_fits_a_violation_stays_one(tmp_path: Path) -> None:
    folder = RunFolder.create("storm", tmp_path)
    with files_of_at_most(100):
        folder.event("finding", text="x" * 200)
        folder.log("x" * 200)
        summary = folder.finish(held_run(findings()))

    assert summary.verdict is Verdict.VIOLATED
    assert folder.problem is not None
    assert not [name for name in names(folder.path) if name.endswith((".json", ".html"))]


def test_a_full_file_system_is_told_in_one_sentence(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "testbed", str(tmp_path)],
        capture_output=True, check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        folder = RunFolder.create("storm", tmp_path)
        filler = tmp_path / "filler"
        with filler.open("wb", 0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        summary = folder.finish(held_run())
        left = names(folder.path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)

    assert summary.verdict is Verdict.UNKNOWN
    assert summary.reason == (
        f"cannot write {folder.path}/report.html: no space left on device; "
        "free some space or use --runs DIR"
    )
    assert left == set()


def test_what_was_there_before_survives_a_write_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    atomic_write(path, b"old")
    with files_of_at_most(100), pytest.raises(RunFolderError, match="cannot write"):
        atomic_write(path, b"new" * 100)

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == {"run.json"}


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFolderError, match=r"file: not a folder; use --runs DIR"):
        RunFolder.create("storm", tmp_path / "file")
    with pytest.raises(RunFolderError, match=r"cannot write .*: not a directory; use --runs DIR"):
        RunFolder.create("storm", tmp_path / "file" / "below")


def test_reports_respect_the_umask(tmp_path: Path) -> None:
    atomic_write(tmp_path / "run.json", b"x")
    (tmp_path / "plain").write_text("x")

    assert (tmp_path / "run.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_runs_are_listed_oldest_first_and_one_that_was_killed_has_no_summary(
    tmp_path: Path,
) -> None:
    first = RunFolder.create("storm", tmp_path)
    first.finish(held_run())
    second = RunFolder.create("storm", tmp_path)
    (tmp_path / "something-else").mkdir()
    os.utime(first.path, ns=(1, 1))

    runs = list_runs(tmp_path)

    assert [run.path for run in runs] == [first.path, second.path]
    assert runs[0].summary == held_run()
    assert runs[1].summary is None
    assert latest(tmp_path).path == second.path
    with pytest.raises(RunFolderError, match="no runs here"):
        latest(tmp_path / "nowhere")


def test_a_report_is_found_by_all_its_names(tmp_path: Path) -> None:
    finding = findings()[0]
    folder = RunFolder.create("storm", tmp_path)
    folder.finish(held_run((finding,)))
    path = folder.path / "findings" / f"{finding.signature}.json"

    for wanted in (
        str(path), str(path.with_suffix(".html")), str(folder.path), folder.path.name,
        finding.signature, finding.signature[:6], "latest",
    ):
        assert find_report(wanted, tmp_path) == path, wanted
    for wanted in ("nothing", "", "ffff"):
        with pytest.raises(RunFolderError, match="no such report"):
            find_report(wanted, tmp_path)


def test_a_run_without_exactly_one_finding_means_the_run(tmp_path: Path) -> None:
    held = RunFolder.create("held", tmp_path)
    held.finish(held_run())
    two = RunFolder.create("two", tmp_path)
    two.finish(held_run(findings()))
    killed = RunFolder.create("killed", tmp_path)

    assert find_report(str(held.path), tmp_path) == held.path / "run.json"
    assert find_report(str(two.path), tmp_path) == two.path / "run.json"
    with pytest.raises(RunFolderError, match="has not ended by itself"):
        find_report(str(killed.path), tmp_path)


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")

    with pytest.raises(FindingError, match="not a report"):
        read_report(tmp_path / "x.json")
    with pytest.raises(RunFolderError, match="no such file or directory"):
        read_report(tmp_path / "y.json")


def test_a_finding_that_comes_back_replaces_its_report(tmp_path: Path) -> None:
    folder = RunFolder.create("storm", tmp_path)
    finding = findings()[0]
    folder.write_finding(finding)
    folder.write_finding(msgspec.structs.replace(finding, count=7))

    read = decode(folder.finding_path(finding).read_bytes())
    assert isinstance(read, Finding)
    assert read.count == 7
    assert encode(read) == folder.finding_path(finding).read_bytes()
