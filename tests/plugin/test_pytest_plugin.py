"""The plugin in a small project of somebody else: what its tests find, and what pytest says."""

import os
import re
import shlex
import signal
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

PROGRAM = """\
/* One of two tasks sees the other's store. */
#include <explore.h>

static u32 x, y, seen[2];

TASK(0, left)  { WRITE_ONCE(x, 1); BETWEEN(); seen[0] = READ_ONCE(y); }
TASK(1, right) { WRITE_ONCE(y, 1); BETWEEN(); seen[1] = READ_ONCE(x); }
FINAL_CHECK    { claim(seen[0] || seen[1], seen[0], seen[1]); }
"""

TASKS = """\
#include <compiler.h>

static u64 x, y, seen_left, seen_right;

s64 left(void *argument);
s64 right(void *argument);
s64 one_has_seen(void);
s64 overstep(void *argument);

s64 overstep(void *argument)
{
	WRITE_ONCE(*(u64 *)8, 1);
	return 0;
}

s64 left(void *argument)
{
	WRITE_ONCE(x, 1);
	seen_left = READ_ONCE(y);
	return 0;
}

s64 right(void *argument)
{
	WRITE_ONCE(y, 1);
	seen_right = READ_ONCE(x);
	return 0;
}

s64 one_has_seen(void)
{
	return !seen_left && !seen_right;
}
"""

SCENARIOS = '''\
from testbed.scenario import scenario


@scenario(cpus=2)
def dekker(m):
    """One of two tasks sees what the other one has stored."""
    m.c_task("tasks.c", "left", cpu=0)
    m.c_task("tasks.c", "right", cpu=1)
    m.after("tasks.c", "one_has_seen")


@scenario(cpus=2)
def grace_period(m):
    """A grace period ends, whatever others do."""
    m.task(cpu=0).preempt_disable().preempt_enable()
    m.task(cpu=1).irq_disable().irq_enable().synchronize_rcu()

'''

PASSING = SCENARIOS + '''
import pytest


def test_a_c_file(explore):
    result = explore("program.c", defines=["BETWEEN=smp_mb"])
    assert result.complete
    assert result.findings == []
    result.held(complete=True)


def test_its_broken_twin(explore):
    finding = explore("program.c", defines=["BETWEEN=barrier"]).violated("claim")
    assert "seen" in finding.value_text or finding.story is not None


@pytest.mark.testbed(strategy="portfolio", executions=500, seed=7)
def test_a_scenario(explore):
    result = explore(grace_period).held()
    assert (result.executions, result.summary.seed) == (500, 7)


@pytest.mark.testbed(cpus=2, duration=0.3)
def test_a_scenario_on_the_real_machine(stress):
    assert stress(grace_period).held().counters["grace periods"] > 0


def test_a_scenario_of_the_testbed(stress):
    stress("unregister_vs_hit", duration=0.3, rounds=20).held()


def test_a_machine(machine):
    booted = machine("tasks.c", cpus=1)
    assert booted.call("one_has_seen") == 1
    assert booted.text_call(booted.image.function("push_rbp").addr, 2, 3) >= 0
'''

FAILING = SCENARIOS + '''
import contextlib


def test_the_machine(machine):
    booted = machine("tasks.c", cpus=1)
    with contextlib.suppress(Exception):
        booted.spawn(0, "overstep")
    assert booted.wait(20).name == "FINISHED"


def test_a_claim(explore):
    explore("program.c", defines=["BETWEEN=barrier"]).held()


def test_findings(explore):
    result = explore(dekker)
    print("searched by", result.summary.searched.strategy)
    assert result.findings == []


def test_what_is_expected(explore):
    explore("program.c", defines=["BETWEEN=smp_mb"]).violated()
'''


@pytest.fixture
def theirs(project: Project) -> Project:
    """A project with a C file and C tasks."""
    project.write(program__c=PROGRAM, tasks__c=TASKS)
    return project


def test_what_holds_passes(theirs: Project) -> None:
    theirs.write(test_mine__py=PASSING)
    done = theirs.test("--strict-markers", "-W", "error", "--testbed-seed", "42")

    assert (done.count("passed"), done.status) == (6, 0), done.text
    assert "testbed: seed 42" in done.text


def test_what_fails_shows_the_race_and_a_command_that_brings_it_back(theirs: Project) -> None:
    theirs.write(test_mine__py=FAILING)
    done = theirs.test("--junitxml", "junit.xml")

    assert (done.count("failed"), done.status) == (4, 1), done.text
    assert re.search(r"violated: test_the_machine: .*0x8", done.text), done.text
    assert re.search(r"tasks\.c:\d+  overstep\(\)", done.text)
    assert "expected held, but violated: program: a claim checked on CPU 0" in done.text
    assert "claimed by  CPU 0  program.c:" in done.text.replace(f"{theirs.folder}/", "")
    assert "(y = 1 of CPU 1 is still in its buffer)" in done.text
    assert "expected violated, but held: program:" in done.text
    assert "again: testbed explore program.c -D BETWEEN=barrier --schedule 1:" in done.text
    assert "again: testbed explore test_mine.py::dekker --schedule 1:" in done.text
    assert "or: pytest test_mine.py::test_a_claim --testbed-replay 1:" in done.text
    assert "site-packages" not in done.text
    assert "testing/virtual.py" not in done.text

    cases = ElementTree.parse(theirs.folder / "junit.xml").getroot().iter("testcase")
    failures = {case.get("name"): case for case in cases}
    claim, findings = failures["test_a_claim"], failures["test_findings"]
    message = claim.findall("failure")[0].get("message") or ""
    assert "expected held, but violated: program" in message
    assert "again: testbed explore program.c" in message
    assert "is still in its buffer" in (findings.findall("failure")[0].text or "")
    properties = {one.get("name"): one.get("value") or "" for one in findings.iter("property")}
    assert properties["testbed_run"] == "dekker: violated"
    assert properties["testbed_again"].startswith("testbed explore test_mine.py::dekker")
    assert properties["testbed_seed"].isdecimal()

    # The printed command does that one run, and no other.
    assert "searched by replay" not in done.text
    found = re.search(r"or: (pytest test_mine.py::test_findings .*)", done.text)
    assert found is not None, done.text
    again = theirs.test(*shlex.split(found[1])[1:])
    assert (again.count("failed"), again.status) == (1, 1), again.text
    assert "is still in its buffer" in again.text
    assert "searched by replay" in again.text


def test_a_report_that_was_kept_can_be_replayed(theirs: Project) -> None:
    theirs.write(test_mine__py=FAILING)
    failed = theirs.test("-k", "findings", "--testbed-runs", "runs")
    (report,) = Path(theirs.folder).glob("runs/*-explore-dekker/findings/????????????.json")
    assert f"again: testbed replay {report}" in failed.text

    done = theirs.test("-k", "claim or findings", "--testbed-replay", str(report))

    # What it is no run of is searched as always.
    assert done.count("failed") == 2, done.text
    assert f"replay {report}" in done.text
    assert "searched by replay" in done.text


def test_all_of_it_works_in_processes_of_xdist(theirs: Project) -> None:
    theirs.write(test_mine__py=FAILING, test_more__py=PASSING)
    chosen = "claim or findings or real or a_machine or a_c_file"
    done = theirs.test("-n", "2", "--junitxml", "junit.xml", "-k", chosen)

    assert (done.count("failed"), done.count("passed")) == (2, 3), done.text
    assert "(y = 1 of CPU 1 is still in its buffer)" in done.text
    assert "or: pytest test_mine.py::test_a_claim --testbed-replay 1:" in done.text
    junit = (theirs.folder / "junit.xml").read_text()
    seeds = set(re.findall(r'name="testbed_seed" value="(\d+)"', junit))
    assert seeds == set(re.findall(r"testbed: seed (\d+)", done.text))
    assert "is still in its buffer" in junit


SLEEPER = SCENARIOS + """
def test_for_ever(machine, explore):
    booted = machine(cpus=2)
    print(booted._coordinator.pid, flush=True)
    open(f"booted.{booted._coordinator.pid}", "w").close()
    explore(grace_period, strategy="portfolio", duration=600.0)
"""


def children_of(pid: int) -> list[int]:
    """Return all processes below one, itself first."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        below = [int(child) for child in path.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(one for child in below for one in children_of(child))]


def test_a_killed_worker_leaves_nothing(theirs: Project) -> None:
    theirs.write(test_mine__py=SLEEPER)
    process = theirs.start("-n", "1", "--max-worker-restart", "0")
    deadline = time.monotonic() + 60
    while not list(theirs.folder.glob("booted.*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (coordinator,) = (int(path.suffix[1:]) for path in theirs.folder.glob("booted.*"))
    worker = int(Path(f"/proc/{coordinator}/stat").read_text().rpartition(")")[2].split()[1])
    below = children_of(worker)[1:]
    while len(below) < 4:  # a coordinator, its CPUs, and an explorer
        assert time.monotonic() < deadline
        below = children_of(worker)[1:]

    os.kill(worker, signal.SIGKILL)
    text, _ = process.communicate(timeout=60)

    assert "crashed while running" in text
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline, "processes are left behind"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--testbed-seed", "many"], "--testbed-seed many: a seed is a number from 0 to 184467440"),
        (["--testbed-replay", "nowhere"], "--testbed-replay nowhere: nowhere: no such report in"),
        (["--testbed-replay", "1:what"], "--testbed-replay 1:what: 1:what: what does 'what' mean?"),
    ],
)
def test_an_option_that_means_nothing_is_told_in_a_sentence(
    theirs: Project, arguments: list[str], told: str
) -> None:
    theirs.write(test_mine__py=FAILING)
    done = theirs.test(*arguments)

    assert done.status == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {told}" in done.text
    assert "Traceback" not in done.text


MISTAKES = """
import pytest


def test_file(explore):
    explore("nowhere.c")


@pytest.mark.testbed(cpu=2)
def test_marker(explore):
    pass


def test_strategy(explore):
    explore("program.c", strategy="guess")


def test_option(stress):
    stress("kprobe_storm", callrs=1)


def test_value(stress):
    stress("kprobe_storm", callers="many")


def test_bug(explore):
    explore("program.c", bug="unhash-before-disarmed")


def test_config(machine):
    machine(cpus=99)
"""


def test_a_mistake_in_a_test_is_told_in_a_sentence(theirs: Project) -> None:
    theirs.write(test_mine__py=MISTAKES)
    done = theirs.test()

    assert (done.count("failed"), done.count("error")) == (6, 1), done.text
    for told in (
        "nowhere.c: no such C file",
        "@pytest.mark.testbed(cpu=...): no such value; did you mean cpus?",
        "strategy='guess': there are auto, ",
        "kprobe_storm: no option callrs; did you mean callers?",
        "'many' is not a valid integer",
        "unhash-before-disarmed: no such bug in the zoo; did you mean unhash-before-disarm?",
        "cpus=99: a machine has 1 to 64 CPUs",
    ):
        assert f"\n{told}" in done.text or told in done.text
    assert "Traceback" not in done.text
    assert ".py:" not in done.text.partition("FAILURES")[2].partition("short test summary")[0]


HEAVY = ("numpy", "rich", "msgspec", "loguru", "click", "iced_x86", "elftools", "jinja2")


def test_registering_the_plugin_imports_nothing_heavy(project: Project) -> None:
    project.write(test_mine__py="import sys\ndef test_modules(): print(*sys.modules, '')\n")
    done = project.test("-s", "-p", "no:hypothesispytest")

    modules = set(done.text.partition("test_mine.py")[2].split())
    assert "testbed.pytest_plugin" in modules
    assert not {name for name in modules if name.partition(".")[0] in HEAVY}, done.text
    ours = {name for name in modules if name.startswith("testbed")}
    assert ours == {"testbed", "testbed.errors", "testbed.pytest_plugin"}
