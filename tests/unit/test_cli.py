"""The command line: exit status, help, guesses at mistyped names, and reports of earlier runs."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from testbed import __version__
from testbed.cli import COMMANDS, main, run
from testbed.cli.group import unknown
from testbed.cli.options import seconds_of
from testbed.cli.output import PlainProgress, announce, progress_line, rate
from testbed.cli.replay import comparison, signatures_of
from testbed.commands import duration_text
from testbed.findings import Finding, decode, schema
from testbed.paths import project_root
from testbed.report.model import from_machine
from testbed.runs import RunFolder, RunFolderError
from tests.unit.report_samples import facts, held_run, reading, use_after_free


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with a run that held and, after it, one that was violated."""
    RunFolder.create("calm", tmp_path).finish(held_run())
    finding = next(iter(from_machine(use_after_free(), facts(), reading())))
    RunFolder.create("storm", tmp_path).finish(held_run((finding,)))
    os.utime(next(tmp_path.glob("*-calm")), ns=(1, 1))
    return tmp_path


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "testbed", *arguments], cwd=project_root(),
        capture_output=True, text=True, timeout=60, check=False,
    )


def test_help_is_quick_and_imports_nothing_of_size() -> None:
    heavy = ("numpy", "rich", "jinja2", "msgspec", "loguru", "iced_x86", "elftools")
    code = (
        "import sys, testbed.cli as c\n"
        "c.run(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    took = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True,
            check=True,
        )
        took.append(time.perf_counter() - start)

    assert done.stdout.endswith("[]\n")
    assert all(name in done.stdout for name in COMMANDS)
    assert min(took) < 0.5, "100 ms on a quiet machine; this one may be busy"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"testbed {__version__}\n"


@pytest.mark.parametrize(("arguments", "guess"), [
    (["strss"], "strss: no such command; did you mean stress?"),
    (["report", "shw"], "shw: no such command; did you mean show?"),
    (["report", "list", "--jsn"], "did you mean"),
    (["xyzzy"], "xyzzy: no such command\n"),
])
def test_a_mistyped_name_is_answered_with_the_nearest(
    arguments: list[str], guess: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert guess.lower() in error.lower()
    assert "Traceback" not in error


def test_an_error_is_one_sentence_on_stderr_and_status_2(tmp_path: Path) -> None:
    done = command("report", "show", "nothing", "--runs", str(tmp_path))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"nothing: no such report in {tmp_path}; testbed report list shows them all\n"
    )


def test_main_exits_with_the_status(runs: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "show", "ffff", "--runs", str(runs)])

    assert ended.value.code == 2


def in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line.replace("testbed", f"{sys.executable} -m testbed")], cwd=folder,
        env=os.environ | {"PYTHONPATH": str(project_root())}, capture_output=True, text=True,
        timeout=60, check=False,
    )


def test_what_nobody_reads_is_neither_held_nor_violated_and_no_traceback() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "report", "schema"], cwd=project_root(), stdout=writes,
        stderr=subprocess.PIPE, timeout=60, check=False,
    )
    os.close(writes)

    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(("line", "status", "told"), [
    ("testbed report schema >/dev/full", 2, "cannot write the output: no space left on device\n"),
    ("testbed report show nothing >&-", 2, "nothing: no such report in"),
    ("testbed report show nothing <&- >&- 2>&-", 2, ""),
    ("testbed replay $'b\\xff.json'", 2, "b\N{REPLACEMENT CHARACTER}.json: reports are UTF-8"),
    ("TESTBED_RUNS=/dev/null testbed report list", 2, "/dev/null: not a folder; use --runs DIR\n"),
    ("testbed replay .", 2, ".: not the folder of a run\n"),
    ("echo 'raise SystemExit' > ended.py; testbed stress ended.py", 2, "ended.py: SystemExit"),
])
def test_strange_surroundings_are_no_traceback_and_no_verdict(
    line: str, status: int, told: str, tmp_path: Path
) -> None:
    done = in_shell(line, tmp_path)

    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (status, "")


def test_a_command_whose_standard_files_are_closed_works(tmp_path: Path) -> None:
    RunFolder.create("calm", tmp_path).finish(held_run())
    done = in_shell(f"testbed report list --runs {tmp_path} <&- >&- 2>&-", tmp_path)

    assert done.returncode == 0


@pytest.mark.parametrize(("wanted", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colors_are_left_out_where_they_are_not_wanted(
    wanted: dict[str, str], colored: bool, tmp_path: Path
) -> None:
    first, second = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "testbed", "doctor", "--runs", str(tmp_path)], cwd=project_root(),
        env={name: value for name, value in os.environ.items() if name != "NO_COLOR"} | wanted,
        stdout=second, timeout=60, check=True,
    )
    os.close(second)
    printed = b""
    with suppress(OSError):  # How a terminal ends.
        while part := os.read(first, 65536):
            printed += part
    os.close(first)

    assert b"executable memory" in printed
    assert (b"\x1b[3" in printed) == colored


@pytest.mark.parametrize(("arguments", "told"), [
    (["explore", "x.c", "--seed", "abc"], "'abc' is not a valid integer"),
    (["explore", "x.c", "--exhaustive", "--strategy", "pct"], "--exhaustive and --strategy pct"),
    (["explore", "x.c", "--sc", "--buffer", "4"], "--sc and --buffer 4: one of them"),
    (["explore", "x.c", "--delay-bound", "1", "--strategy", "pos"], "--delay-bound is of"),
    (["explore", "x.c", "--exhaustive", "--depth", "2"], "--depth is of --strategy pct and portfo"),
    (["explore", "x.c", "--schedule", "1:", "--like", "y"], "--schedule and --like: one of them"),
    (["replay", "x.c"], "testbed replay x.c SCHEDULE"),
    (["replay", "latest", "-D", "X"], "-D goes with SCHEDULE"),
    (["replay", "latest", "--attempts", "3"], "--attempts goes with --real"),
    (["zoo", "--real", "--virtual"], "--real and --virtual: one of them"),
])
def test_options_that_would_be_without_effect_are_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert told in capsys.readouterr().err


def test_runs_are_listed_with_the_titles_of_their_findings(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "list", "--runs", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].endswith("-calm  held  1m  seed 8675309")
    assert lines[1].endswith("-storm  violated  1m  seed 8675309")
    assert lines[2].endswith("counting_pre_handler() after free by storm_unregister()")


def test_the_list_is_json_when_asked_for(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "list", "--json", "--runs", str(runs)]) == 0
    rows = json.loads(capsys.readouterr().out)

    assert [row["verdict"] for row in rows] == ["held", "violated"]
    assert rows[1]["findings"][0]["count"] == 1


def test_the_latest_report_is_shown_as_text_and_as_json(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "show", "--runs", str(runs)]) == 0
    assert capsys.readouterr().out.startswith("violated: kprobe_storm: CPU 1 used 64 bytes")

    assert run(["report", "show", "latest", "--json", "--runs", str(runs)]) == 0
    assert isinstance(decode(capsys.readouterr().out.encode()), Finding)


def test_a_run_without_findings_is_shown_with_its_counters(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calm = next(runs.glob("*-calm"))

    assert run(["report", "show", calm.name, "--runs", str(runs)]) == 0
    out = capsys.readouterr().out
    assert "1,234,567" in out
    assert out.splitlines()[-1].startswith("held: kprobe_storm:")


def test_open_prints_the_address_of_the_page(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "true")
    assert run(["report", "open", "--runs", str(runs)]) == 0
    address = capsys.readouterr().out.strip()

    assert address.startswith("file:///")
    assert Path(address.removeprefix("file://")).read_text().startswith("<!doctype html>")


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


@pytest.mark.parametrize(("text", "seconds"), [
    ("30s", 30), ("5m", 300), ("2m30s", 150), ("1.5h", 5400), ("250ms", 0.25), ("90", 90),
    ("", None), ("5 m", None), ("m", None), ("5x", None), ("-3s", None),
])
def test_durations_read_as_people_write_them(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("seconds", [1, 59, 60, 61, 150, 3600, 5400, 86400, 0.25, 90.5])
def test_a_printed_duration_is_read_as_the_same(seconds: float) -> None:
    assert seconds_of(duration_text(seconds)) == seconds


def test_guesses_are_only_made_when_something_is_near() -> None:
    assert unknown("harness", "kprob_storm", ["kprobe_storm"]).endswith("mean kprobe_storm?")
    assert unknown("harness", "q", ["kprobe_storm"]) == "q: no such harness"


class Reached:
    """A run's progress at one moment."""

    elapsed_s = 12.04
    duration_s = 60.0
    counters: dict[str, int | float] = {"calls": 1_234_567, "share": 0.5}  # noqa: RUF012
    findings = 0


def test_progress_off_a_terminal_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("testbed.cli.output.time.monotonic", lambda: clock[-1])
    with PlainProgress(err=False) as display:
        clock.append(100.0)  # A build.
        for _ in range(5):
            display(Reached())

        assert capsys.readouterr().out == "", "two seconds have not passed"
        clock.append(102.5)
        display(Reached())

    assert capsys.readouterr().out == f"{progress_line(Reached())}\n"
    assert progress_line(Reached()) == "12.0 s  calls 1,234,567  share 0.5  findings 0"
    assert rate(500, 2.0) == "250/s"
    assert rate(500, 0.0) == ""


def test_the_end_of_a_run_is_told_with_counters_verdict_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("storm", tmp_path)
    summary = folder.finish(held_run())

    assert announce(summary, folder, as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["probed", "calls", "1,234,567", "20,491/s"]
    assert lines[-2].startswith("held: kprobe_storm: A handler never runs")
    assert lines[-1] == f"report: {folder.path}/report.html"


def test_json_on_stdout_is_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("storm", tmp_path)

    assert announce(folder.finish(held_run()), folder, as_json=True) == 0
    assert decode(capsys.readouterr().out.encode()) == held_run()


def test_the_verdict_is_told_even_when_the_report_could_not_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("storm", tmp_path)
    folder.problem = RunFolderError("cannot write x: no space left on device")
    summary = folder.finish(held_run())

    assert announce(summary, folder, as_json=False) == 3
    said = capsys.readouterr()
    assert "unknown: kprobe_storm: cannot write x" in said.out
    assert "report:" not in said.out
    assert said.err == "cannot write x: no space left on device\n"


def test_a_replay_compares_signatures_and_not_mere_failure() -> None:
    finding = next(iter(from_machine(use_after_free(), facts(), reading())))
    again = held_run((finding,))

    assert signatures_of(again) == signatures_of(finding) == {finding.signature}
    assert comparison({finding.signature}, again, 1) == (
        f"try 1: the same signature came back: {finding.signature}"
    )
    assert comparison({"0123456789ab"}, again, 2).startswith("try 2: something else was found: use")
    assert comparison({"0123456789ab"}, held_run(), 1) == (
        "try 1: not found again (held): 0123456789ab"
    )


def test_progress_on_a_terminal_stays_in_place_and_is_gone_at_the_end() -> None:
    code = (
        "from testbed.cli.output import progress_display\n"
        "from tests.unit.test_cli import Reached\n"
        "with progress_display(as_json=False) as display:\n"
        "    display(Reached())\n"
        "print('over')"
    )
    ours, theirs = os.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", code], cwd=project_root(), stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    said = b""
    while not said.endswith(b"over\r\n"):
        said += os.read(ours, 4096)
    os.close(ours)

    assert done.wait(timeout=30) == 0
    assert b"1,234,567" in said
    assert b"12 of 60 s" in said
    assert b"\x1b[?25h" in said, "the cursor is shown again"
