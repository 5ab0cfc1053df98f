"""``testbed replay --real``: a schedule of the explorer is forced on real CPUs."""

from pathlib import Path

import pytest

from testbed.build import Flavour, Request, build
from testbed.cli import run
from testbed.findings import Finding, Kind, Summary, decode
from testbed.gates.sites import Sites
from testbed.layout import Layout
from testbed.paths import project_root
from testbed.zoo import zoo_folder

STRESS = project_root() / "stress"
ATTEMPTS = 5

# The left task sees what the right one stores, or does not; the claim is about the order alone.
ORDERED = """
#include <explore.h>

static u32 x, y, seen[2];

TASK(0, left) { WRITE_ONCE(x, 1); seen[0] = READ_ONCE(y); }
TASK(1, right)
{
	seen[1] = READ_ONCE(x);
	WRITE_ONCE(y, seen[1] + 1);
	claim(READ_ONCE(x) == seen[1], seen[1]);
}
"""

# A device interrupts between two looks of the task.
INTERRUPTED = """
#include <explore.h>

static u32 count;

IRQ(0, 1, device) { WRITE_ONCE(count, READ_ONCE(count) + 1); }

TASK(0, driver)
{
	u32 before = READ_ONCE(count);

	claim(READ_ONCE(count) == before, before);
}
"""

# The time of a timer comes between two looks of the task.
TIMED = """
#include <explore.h>
#include <kernel/timer.h>

static u32 count;

static void expired(struct timer_list *timer) { WRITE_ONCE(count, READ_ONCE(count) + 1); }
static DEFINE_TIMER(timer, expired);

TASK(0, arms)
{
	u32 before;

	mod_timer(&timer, jiffies + 1000000);
	before = READ_ONCE(count);
	claim(READ_ONCE(count) == before, before);
}
"""


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reports go."""
    monkeypatch.setenv("TESTBED_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def explored(runs: Path, program: Path | str, *arguments: str) -> tuple[Path, Finding]:
    """Explore; return the report of the finding."""
    assert run(["explore", str(program), "--seed", "1", "--strategy", "portfolio",
                *arguments]) == 1  # fmt: skip
    paths = sorted(runs.glob("*-explore-*/findings/????????????.json"))
    document = decode(paths[-1].read_bytes())
    assert isinstance(document, Finding)
    return paths[-1], document


def forced(report: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Summary, str]:
    """Force; return the exit status, the summary, and what else was said."""
    capsys.readouterr()
    status = run(["replay", "--real", str(report), "--attempts", str(ATTEMPTS), "--json"])
    output = capsys.readouterr()
    summary = decode(output.out.encode())
    assert isinstance(summary, Summary)
    return status, summary, output.err


@pytest.mark.parametrize(
    ("bug", "program", "options"),
    [
        ("spin-lock-tests-then-sets", "primitives/spinlock.c", ("--no-races", "--sc")),
        ("csd-async-unlock-after-func", "primitives/cross_call_async.c", ()),
    ],
)
def test_what_the_explorer_found_real_hardware_shows(
    bug: str, program: str, options: tuple[str, ...], runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    patch = str(zoo_folder() / f"{bug}.patch")
    report, finding = explored(runs, STRESS / program, "--patch", patch, *options)

    status, summary, told = forced(report, capsys)

    assert status == 1, told
    assert f"real hardware shows it: in {ATTEMPTS} of {ATTEMPTS} attempts, the same sig" in told
    assert summary.counters["all gates in order"] == ATTEMPTS
    assert summary.findings[0].signature == finding.signature
    assert summary.findings[0].machine == "real"


def test_a_wait_without_an_end_is_a_hang_there(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = str(zoo_folder() / "mutex-unlock-without-wake.patch")
    report, _ = explored(runs, STRESS / "primitives" / "mutex.c", "--patch", patch)

    status, summary, told = forced(report, capsys)

    assert status == 1, told
    assert summary.findings[0].kind is Kind.HANG
    assert "real hardware shows it: " in told


def test_a_data_race_is_shown_by_both_accesses_at_once(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = str(zoo_folder() / "spin-unlock-plain.patch")
    report, finding = explored(runs, STRESS / "primitives" / "spinlock.c", "--patch", patch)
    assert finding.kind is Kind.DATA_RACE

    status, summary, told = forced(report, capsys)

    assert status == 1, told
    assert summary.findings[0].kind is Kind.DATA_RACE
    assert summary.findings[0].other is not None
    assert {summary.findings[0].here.cpu, summary.findings[0].other.cpu} == {0, 1}


def test_an_interrupt_comes_where_the_schedule_has_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = str(zoo_folder() / "completion-lock-irqs-on.patch")
    report, finding = explored(runs, STRESS / "primitives" / "completion_irq.c", "--patch", patch)
    assert finding.kind is Kind.DEADLOCK

    status, _, told = forced(report, capsys)

    assert status == 1, told
    assert "the same signature" in told


def test_a_device_interrupts_where_the_schedule_has_it(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "interrupted.c"
    program.write_text(INTERRUPTED)
    report, _ = explored(runs, program, "--no-races")

    status, _, told = forced(report, capsys)

    assert status == 1, told
    assert f"shows it: in {ATTEMPTS} of {ATTEMPTS} attempts, the same signature" in told


def test_the_time_of_a_timer_comes_where_the_schedule_has_it(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "timed.c"
    program.write_text(TIMED)
    report, _ = explored(runs, program)
    status, _, told = forced(report, capsys)

    assert status == 1
    assert f"shows it: in {ATTEMPTS} of {ATTEMPTS} attempts, the same signature" in told


def test_a_scenario_is_forced_and_text_is_said_to_have_no_gates(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patch = str(zoo_folder() / "disarm-ignores-other-probes.patch")
    report, finding = explored(runs, "disable_one_of_two", "--patch", patch)
    assert finding.kind is Kind.LOST_HIT

    status, summary, told = forced(report, capsys)

    assert status == 1, told
    assert "a hook cannot stand in text" in told
    assert Kind.LOST_HIT in {one.kind for one in summary.findings}


def test_the_same_gates_leave_a_program_that_is_right_as_it_is(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ordered.c"
    program.write_text(ORDERED)
    report, _ = explored(runs, program, "--sc")
    assert forced(report, capsys)[0] == 1

    # The same accesses at the same lines, and nothing is claimed of their order.
    program.write_text(ORDERED.replace("claim(READ_ONCE(x) == seen[1]", "claim(READ_ONCE(x) < 2"))
    # Nothing of it fails, so the explorer's own replay of the schedule passes.
    assert run(["replay", "--real", str(report), "--attempts", "3"]) == 2
    assert "its run passed: only a schedule that fails can be forced" in capsys.readouterr().err


def test_stores_that_leave_late_are_given_time(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = STRESS / "examples" / "kernel_store_buffering.c"
    report, _ = explored(runs, program, "-D", "MISSING_SLEEPER", "-D", "MISSING_WAKER")

    status, summary, told = forced(report, capsys)

    # Whether it shows is a matter of nanoseconds: mostly not in so few attempts.
    assert status in (1, 3), told
    assert "when a store leaves its buffer is not ours to say" in told
    assert "then both CPUs go at once" in told
    assert summary.counters["all gates in order"] == ATTEMPTS


def test_what_was_forced_is_forced_again_by_its_report(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "ordered.c"
    program.write_text(ORDERED)
    report, finding = explored(runs, program, "--sc")
    assert forced(report, capsys)[0] == 1
    (again,) = runs.glob("*-replay-real-*/findings/????????????.json")

    assert run(["replay", str(again)]) == 1
    told = capsys.readouterr().out
    assert f"signature {finding.signature}" in told
    assert "real hardware shows it: " in told


def test_a_place_of_one_core_is_found_in_the_other(tmp_path: Path) -> None:
    program = tmp_path / "ordered.c"
    program.write_text(ORDERED)
    cores = [build(Request(flavour, extra=(program,)))
             for flavour in (Flavour.VIRTUAL, Flavour.GATED)]  # fmt: skip
    virtual, gated = (Sites(core) for core in cores)
    mine = [site for address in virtual.addresses() if (site := virtual.at(address)) is not None
            and site.places[0][1] == str(program)]  # fmt: skip

    assert len(mine) >= 6
    for site in mine:
        found = gated.find(site)
        assert found, site
        assert all(gated.at(address) == site for address in found)
    assert "gates" in Layout.of(cores[1]).symbols()
    assert "gates" not in Layout.of(cores[0]).symbols()


def test_what_cannot_be_forced_is_2_and_one_sentence(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pthreads = project_root() / "tests" / "explore" / "programs" / "store_buffering.c"
    report, _ = explored(runs, pthreads)
    assert run(["replay", "--real", str(report)]) == 2
    assert "a program with pthreads, and the real machine runs tasks" in capsys.readouterr().err

    assert run(["replay", "--real", str(report), "1:0@1c1"]) == 2
    assert "--real forces the schedule of a report" in capsys.readouterr().err

    report.with_suffix(".schedule").unlink()
    assert run(["replay", "--real", str(report)]) == 2
    assert "no longer beside it" in capsys.readouterr().err

    assert run(["replay", "--real", str(tmp_path / "none.schedule")]) == 2
    assert "none.schedule: no such file" in capsys.readouterr().err


def test_a_report_of_the_real_machine_has_no_schedule(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["stress", "scf_torture", "--cpus", "2", "--duration", "1s", "--seed", "1"]) == 0
    (folder,) = runs.glob("*-scf_torture")

    assert run(["replay", "--real", str(folder)]) == 2
    told = capsys.readouterr().err
    assert "no schedule in it" in told
    assert "testbed explore --like" in told
