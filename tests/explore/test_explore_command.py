"""``testbed explore`` and ``testbed replay``: exit statuses, output, and a run that comes back."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.cli import run
from testbed.explore.schedule import decode, encode
from testbed.findings import Finding, Summary
from testbed.findings import decode as decode_report
from testbed.harness import stress_folder
from testbed.paths import project_root
from tests.explore.conftest import PROGRAMS

BUFFERING = str(PROGRAMS / "store_buffering.c")
SRCU = str(PROGRAMS / "srcu.c")


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go."""
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def report_of(runs: Path, suffix: str) -> Path:
    (found,) = runs.glob(f"*-explore-*/findings/????????????{suffix}")
    return found


def test_held_is_0_and_says_that_it_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", BUFFERING, "-D", "FENCE", "--seed", "1"]) == 0

    output = capsys.readouterr().out
    assert output.startswith("testbed ")
    assert "seed 1" in output.splitlines()[0]
    assert "complete: every schedule was searched" in output
    assert "\nheld: store_buffering" in output


def test_violated_is_1_and_shows_the_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", BUFFERING, "--seed", "1"]) == 1

    output = capsys.readouterr().out
    for part in ("violated: store_buffering", "CPU 1 first()", "reads y = 0  {x = 1}",
                 "schedule 1:", "again: testbed replay", "the run passes"):  # fmt: skip
        assert part in output


def test_a_file_says_where_its_tasks_lose_their_cpu_unless_the_command_does(runs: Path) -> None:
    bug = str(stress_folder() / "zoo" / "rcu-none-interrupt-reports.patch")
    arguments = ["explore", str(stress_folder() / "primitives" / "rcu_none.c"), "--patch", bug,
                 "--seed", "1", "--strategy", "portfolio", "--executions", "3000"]  # fmt: skip

    assert run(arguments) == 1
    report = report_of(runs, ".json")
    finding = decode_report(report.read_bytes())
    assert isinstance(finding, Finding)
    assert finding.options["preempt"] == "none"
    assert run(["replay", str(report)]) == 1
    assert run([*arguments, "--preempt", "full"]) == 0


def test_unknown_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["explore", str(PROGRAMS / "counters.c"), "--strategy", "sleep", "--executions"]

    assert run([*arguments, "5"]) == 3
    assert "unknown: counters: not every schedule was searched" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.c"], "nowhere.c: no such C file"),
        ([BUFFERING, "--strategy", "wild"], "wild: no such strategy; there are auto, portfolio"),
        ([BUFFERING, "-D", "1=2"], "-D 1=2: a macro is NAME or NAME=VALUE"),
        ([BUFFERING, "--schedule", "x"], "x: not a schedule"),
        (["kprobe_storm"], "kprobe_storm: a harness of the real machine, which runs against the"),
        ([], "explore what?"),
        ([BUFFERING, "--cpus", "16"], "16 is not in the range 1<=x<=15"),
    ],
)
def test_what_cannot_be_done_is_2_and_one_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "argv", [["explore", "broken.c"], ["explore", "broken.c", "--schedule", "1:"],
             ["stress", "kprobe_storm", "--patch", "stale.patch"]],
)  # fmt: skip
def test_what_does_not_build_is_no_run(
    argv: list[str], runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.c").write_text("int main(void) { return nothing; }\n")
    Path("stale.patch").write_text(
        "--- a/workers/kernel/rcu.c\n+++ b/workers/kernel/rcu.c\n@@ -1 +1 @@\n-never\n+was\n"
    )

    assert run(argv) == 2
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize(("source", "told"), [
    ("int x;", "nothing to explore in it: neither main() nor a TASK()"),
    ("#include <explore.h>\nTASK(15, far) { }", "an explored machine has: CPUs 0 to 14"),
])
def test_a_file_that_is_nothing_to_explore_does_not_hold(
    source: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.c"
    mine.write_text(f"{source}\n")

    assert run(["explore", str(mine)]) == 2
    assert told in capsys.readouterr().err


def test_only_json_goes_to_stdout_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", BUFFERING, "--json", "--seed", "1"]) == 1

    summary = decode_report(capsys.readouterr().out.encode())
    assert isinstance(summary, Summary)
    (finding,) = summary.findings
    assert finding.machine == "virtual"
    assert finding.story is not None


def test_what_can_be_explored_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explore", "--list"]) == 0
    assert "store_buffering" in capsys.readouterr().out


def test_a_run_is_replayed_from_its_report_its_folder_and_its_schedule_file(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", SRCU, "-D", "MISSING_B", "--seed", "1"]) == 1
    report, schedule = report_of(runs, ".json"), report_of(runs, ".schedule")
    finding = decode_report(report.read_bytes())
    assert isinstance(finding, Finding)
    assert finding.story is not None
    capsys.readouterr()

    for wanted in ([str(report)], [str(report.parent.parent)], [finding.signature],
                   [str(schedule)], [SRCU, finding.story.schedule, "-D", "MISSING_B"]):  # fmt: skip
        assert run(["replay", *wanted]) == 1, wanted
        output = capsys.readouterr().out
        assert output.endswith("replayed\n"), wanted
        assert f"signature {finding.signature}" in output


def test_a_report_about_files_with_relative_paths_is_replayed_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    mine = tmp_path / "here" / "mine.c"
    mine.write_bytes((PROGRAMS / "srcu.c").read_bytes())
    shutil.copy(PROGRAMS / "program.h", mine.parent)
    monkeypatch.chdir(tmp_path / "here")
    assert run(["explore", "mine.c", "-D", "MISSING_B", "--seed", "1", "--runs", "runs"]) == 1
    output = capsys.readouterr().out
    again = next(line.split()[3] for line in output.splitlines() if "again: testbed" in line)
    schedule = report_of(Path("runs").resolve(), ".schedule")
    finding = decode_report(Path(again).read_bytes())
    assert isinstance(finding, Finding)

    monkeypatch.chdir(tmp_path / "there")
    for wanted in ([again], [str(schedule)], finding.command[1:]):
        assert run(wanted if "explore" in wanted else ["replay", *wanted]) == 1, wanted
        assert f"signature {finding.signature}" in capsys.readouterr().out

    mine.unlink()
    assert run(["replay", again]) == 2
    assert f"{mine}: this file, which the report is about, is no longer" in capsys.readouterr().err


def test_a_schedule_of_another_build_diverges_and_says_why(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", SRCU, "-D", "MISSING_B", "--seed", "1"]) == 1
    path = report_of(runs, ".schedule")
    document = decode(path.read_bytes())
    path.write_bytes(encode(document).replace(b"MISSING_B", b"MISSING_X"))
    capsys.readouterr()

    assert run(["replay", str(path)]) == 3
    output = capsys.readouterr().out
    assert "it is of another build" in output
    assert "diverged at choice" in output or "ended otherwise" in output


def test_a_choice_that_does_not_exist_is_a_divergence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", BUFFERING, "1:1@0d5"]) == 3
    assert "diverged at choice 1: the choice that the schedule has there does not exist" in (
        capsys.readouterr().out
    )


def test_a_run_is_the_same_in_another_address_space(runs: Path) -> None:
    assert run(["explore", SRCU, "-D", "MISSING_B", "--seed", "1"]) == 1
    path = report_of(runs, ".schedule")

    command = [sys.executable, "-m", "testbed", "replay", str(path), "--runs", str(runs)]
    for prefix in ([], ["setarch", "-R"]):
        done = subprocess.run(
            [*prefix, *command], cwd=project_root(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stderr
        assert done.stdout.endswith("replayed\n")


def test_ctrl_c_ends_a_search_with_a_report_and_leaves_nobody_behind(runs: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "testbed", "explore", str(PROGRAMS / "counters.c"), "-D",
         "THREADS=5", "-D", "TIMES=5", "--duration", "5m", "-j", "2", "--runs", str(runs)],
        cwd=project_root(), stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        next(line for line in process.stdout if "executions" in line)
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        status = process.wait(60)

    assert status == 3
    assert "unknown: counters: it was stopped before all was searched" in output
    assert not _explorers_of(process.pid)
    (summary,) = runs.glob("*/run.json")
    assert json.loads(summary.read_text())["verdict"] == "unknown"


def _explorers_of(parent: int) -> list[str]:
    """Return processes whose parent was or is that one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(entry.name)
    return found


def test_the_html_page_has_the_lanes_and_needs_no_other_file(runs: Path) -> None:
    assert run(["explore", BUFFERING, "--seed", "1"]) == 1

    page = report_of(runs, ".html").read_text()
    assert '<table class="story">' in page
    assert "CPU 1 <span" in page
    assert "<script" not in page
    assert "reads y = 0" in page


def test_reports_of_the_explorer_are_listed_and_shown(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", BUFFERING, "--seed", "1"]) == 1
    finding = report_of(runs, ".json").stem
    capsys.readouterr()

    assert run(["report", "list"]) == 0
    assert finding in capsys.readouterr().out
    assert run(["report", "show", finding]) == 0
    assert "nearest schedule that passes" in capsys.readouterr().out
