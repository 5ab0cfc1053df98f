"""The doctor: what is tried is really tried, and what is missing is told with its cost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import doctor, trials
from testbed.cli import run
from testbed.machine_code import cycles_per_ns, executable
from testbed.paths import project_root


@pytest.mark.parametrize("name", list(trials.TRIALS))
def test_every_trial_works_where_these_tests_run(name: str) -> None:
    trial = trials.result(trials.start(name))

    assert trial.found
    if name in ("execute", "addresses", "trap", "futex"):
        assert trial.worked, trial.found


def test_a_child_that_dies_of_its_trial_is_told_and_nothing_else_happens() -> None:
    child = trials.start("timer")
    child.send_signal(signal.SIGKILL)

    assert trials.result(child) == trials.Trial(False, "the child was killed by SIGKILL")


def test_a_trial_that_does_not_exist_ends_as_one_that_did_not_work() -> None:
    assert trials.result(trials.start("fly")) == trials.Trial(
        False, "the child ended with status 1"
    )


def test_everything_is_checked_once_and_what_is_not_ok_has_a_cost(tmp_path: Path) -> None:
    checks = doctor.check_all(tmp_path)
    names = [check.name for check in checks]

    assert len(set(names)) == len(names) == 21
    assert all(check.found for check in checks)
    assert all(bool(check.cost) == (check.state != "ok") for check in checks)
    assert doctor.able(checks)


def test_only_what_is_needed_makes_a_machine_unable() -> None:
    taken_away = doctor.Check("disk", "missing", "read-only", "no reports")
    needed = doctor.Check("traps", "missing", "killed", "no probe works", needed=True)

    assert doctor.able([taken_away])
    assert not doctor.able([taken_away, needed])


def test_without_a_compiler_the_doctor_names_the_package_and_the_status_is_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)

    assert run(["doctor", "--runs", str(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "no C compiler found" in out
    assert "apt install gcc" in out
    assert "not able: compiler" in out
    assert "neither git nor patch" in out


def test_the_report_is_json_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--json", "--runs", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["able"] is True
    assert {"name", "state", "found", "cost", "needed"} == set(document["checks"][0])


def test_a_folder_that_cannot_be_written_is_found_out() -> None:
    check = doctor.disk(Path("/proc/testbed-runs"))

    assert check.state == "missing"
    assert "use --runs DIR" in check.cost


def test_few_allowed_processes_are_a_warning() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (300, 300))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from testbed import doctor\n"
        "print(doctor.processes().state, doctor.address_space().state)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_root(), capture_output=True, text=True, check=True
    )

    assert done.stdout == "warning warning\n"


def test_the_cycle_counter_ticks_evenly() -> None:
    first, second = cycles_per_ns(), cycles_per_ns()

    assert 0.1 < first < 10
    assert first == pytest.approx(second, rel=0.05)


def test_code_is_gone_when_its_context_ends() -> None:
    with executable(b"\xc3") as address:
        assert f"{address:x}-" in Path("/proc/self/maps").read_text()
    assert f"{address:x}-" not in Path("/proc/self/maps").read_text()
    assert not [name for name in os.listdir("/proc/self/fd")
                if "testbed-code" in os.path.realpath(f"/proc/self/fd/{name}")]
