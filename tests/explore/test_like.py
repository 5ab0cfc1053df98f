"""``testbed explore --like``: what a report has found is looked for, past whatever else fails."""

from pathlib import Path

import pytest

from testbed.cli import run
from testbed.explore.alike import likeness
from testbed.findings import Finding, Kind, Summary, decode
from testbed.paths import project_root
from testbed.zoo import zoo_folder

STRESS = project_root() / "stress"

# Fails in two ways: the claim of the left task is false first by default.
TWO_WAYS = """
#include <explore.h>

static u32 x, y;

static noinline void look(u32 *word, u32 wrong)
{
	claim(READ_ONCE(*word) != wrong, wrong);
}

TASK(0, left)
{
	WRITE_ONCE(x, 1);
	look(&x, 1 + READ_ONCE(y));
}

TASK(1, right)
{
	WRITE_ONCE(y, 1);
	if (READ_ONCE(x))
		claim(READ_ONCE(y) != 1, 2);
}
"""


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go."""
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def finding_of(runs: Path, pattern: str) -> tuple[Path, Finding]:
    (path,) = (path for path in sorted(runs.glob(f"{pattern}/findings/????????????.json")))
    document = decode(path.read_bytes())
    assert isinstance(document, Finding)
    return path, document


def test_a_finding_of_the_real_machine_is_found_with_its_schedule(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Every stop of all CPUs shows it at once.
    assert run(["stress", "scf_torture", "--cpus", "3", "--seed", "1",
                "--patch", str(zoo_folder() / "stop-skip-disable-irq-state.patch"),
                "--duration", "20s"]) == 1  # fmt: skip
    path, wanted = finding_of(runs, "*-scf_torture")
    assert wanted.kind is Kind.BAD_STATE
    capsys.readouterr()

    assert run(["explore", str(STRESS / "primitives" / "stop_machine.c"), "--like", str(path),
                "--seed", "1"]) == 1  # fmt: skip
    told = capsys.readouterr().out
    assert "patch=stress/zoo/stop-skip-disable-irq-state.patch" in told, "the patch of the run"
    assert f"like finding {wanted.signature} of scf_torture: " in told
    assert "schedule 1:" in told


def test_what_else_fails_is_passed_over_and_told(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ways.c"
    program.write_text(TWO_WAYS.replace("look(&x", "(void)(x"))
    assert run(["explore", str(program), "--seed", "1"]) == 1
    path, wanted = finding_of(runs, "*-explore-ways")
    assert wanted.signature_text.startswith("claim|task_right@")
    capsys.readouterr()

    program.write_text(TWO_WAYS)
    assert run(["explore", "--like", str(path), "--seed", "1"]) == 1
    told = capsys.readouterr().out
    assert f"like finding {wanted.signature} of ways: same kind, same here" in told
    assert "passed over before: claim: look() found its claim false" in told
    assert len(list(runs.glob(f"*/findings/{wanted.signature}.json"))) == 2

    # Now only the other one can fail.
    program.write_text(TWO_WAYS.replace("if (READ_ONCE(x))", "if (0)"))
    assert run(["explore", "--like", str(path), "--seed", "1", "--executions", "1500"]) == 3
    told = capsys.readouterr().out
    assert f"nothing like finding {wanted.signature}" in told
    assert "other findings were: claim: look() found its claim false" in told


def test_the_same_search_with_any_number_of_processes(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "one_way.c"
    program.write_text(TWO_WAYS.replace("look(&x", "(void)(x"))
    assert run(["explore", str(program), "--seed", "1"]) == 1
    path, _ = finding_of(runs, "*-explore-one_way")
    program.write_text(TWO_WAYS)
    found = []
    for processes in ("1", "2"):
        capsys.readouterr()
        assert run(["explore", "--like", str(path), "--seed", "3", "-j", processes, "--json"]) == 1
        summary = decode(capsys.readouterr().out.encode())
        assert isinstance(summary, Summary)
        story = summary.findings[0].story
        assert story is not None
        found.append((story.schedule, summary.findings[0].signature))

    assert found[0] == found[1]


def test_a_program_that_is_right_holds(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ways.c"
    program.write_text(TWO_WAYS)
    assert run(["explore", str(program), "--seed", "1"]) == 1
    path, wanted = finding_of(runs, "*-explore-ways")
    capsys.readouterr()

    program.write_text(TWO_WAYS.replace("claim(", "(void)("))
    assert run(["explore", "--like", str(path), "--seed", "1"]) == 0
    told = capsys.readouterr().out
    assert f"looking for {wanted.title}" in told
    assert "every schedule was searched" in told


def test_how_alike_two_findings_are(runs: Path) -> None:
    spinlock = str(STRESS / "primitives" / "spinlock.c")
    patch = str(zoo_folder() / "spin-lock-tests-then-sets.patch")
    assert run(["explore", spinlock, "--patch", patch, "--no-races", "--seed", "1"]) == 1
    _, finding = finding_of(runs, "*-explore-spinlock")

    alike = likeness(finding, finding)
    assert (alike.is_like, str(alike)) == (True, "same kind, same here, other not known")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--like", "nothing"], "nothing: no such report"),
        (["--like", "."], ".: not the folder of a run"),
    ],
)
def test_what_cannot_be_looked_for_is_2_and_one_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explore", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_a_run_that_held_has_nothing_to_look_for(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = STRESS / "examples" / "kernel_store_buffering.c"
    assert run(["explore", str(program), "--seed", "1"]) == 0
    (folder,) = runs.glob("*-explore-kernel_store_buffering")

    assert run(["explore", "--like", str(folder)]) == 2
    assert "no finding in it, so there is nothing to look for" in capsys.readouterr().err


def test_a_harness_names_what_goes_the_same_ways(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stress", "kprobe_storm", "--cpus", "2", "--seed", "1", "--duration", "20s",
                "--patch", str(zoo_folder() / "unhash-before-disarm.patch")]) == 1  # fmt: skip
    path, _ = finding_of(runs, "*-kprobe_storm")
    capsys.readouterr()

    assert run(["explore", "--like", str(path)]) == 2
    told = capsys.readouterr().err
    assert "kprobe_storm: a harness that runs against the clock" in told
    assert "testbed explore " in told
