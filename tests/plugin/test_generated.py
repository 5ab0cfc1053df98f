"""Generated scenarios, judged by the explorer: silent on what is right, small when it is broken."""

import re

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.scenario import Scenario, ScenarioBuilder, ScenarioError, scenario, scenarios
from testbed.testing import Violated, check
from tests.plugin.conftest import Project

WAITING = ("synchronize_rcu", "stop_machine", "preempt_disable", "irq_disable", "yield", "barrier")

PROPERTY = '''\
from hypothesis import Phase, given, settings
from testbed.testing import check, scenarios

PHASES = (Phase.generate, Phase.shrink)
PROBING = ("register", "unregister", "call")


@settings(deadline=None, max_examples=200, derandomize=True, database=None, phases=PHASES)
@given(scenarios(%s))
def test_no_scenario_fails(one):
    check(one, bug="%s", operations=100_000, races=False)
'''

# What is generated, the bug that is put back, and the operations of the smallest scenario.
BUGS = [
    ("max_tasks=1, max_interrupts=0, operations=('stop_machine', 'preempt_disable', 'yield')",
     "completion-wrong-reinit", {"stop_machine"}),
    ("max_tasks=2, max_operations=2, functions=('nop5',), max_interrupts=0, operations=PROBING",
     "unhash-before-disarm", {"register", "unregister", "call"}),
]  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(operations=WAITING, max_operations=5))
def test_what_is_right_holds_whatever_waits_for_whom(one: Scenario) -> None:
    check(one, operations=50_000)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(scenarios(max_operations=4))
def test_what_is_right_holds_with_all_operations(one: Scenario) -> None:
    check(one, operations=50_000)


@pytest.mark.parametrize(("generated", "bug", "operations"), BUGS, ids=[bug for _, bug, _ in BUGS])
def test_what_is_broken_fails_by_a_small_scenario_and_a_test_to_paste(
    project: Project, generated: str, bug: str, operations: set[str]
) -> None:
    project.write(test_property__py=PROPERTY % (generated, bug))
    done = project.test("test_property.py")

    assert done.count("failed") == 1, done.text
    section = done.text.partition(" testbed: generated -")[2]
    assert section.startswith("-"), done.text
    found = re.search(r"\n# This is a test: .*\n((?:.*\n)*?    explore\(.*\n)", section)
    assert found is not None, section
    pasted = found[1]
    made = re.findall(r"\.(\w+)\(", pasted.partition("def test_")[0])
    used = [name for name in made if name not in ("function", "kprobe", "task")]
    assert set(used) >= operations
    assert len(used) <= 6, pasted
    assert pasted.count("m.task(") <= 3

    project.write(test_generated__py=pasted)
    again = project.test("test_generated.py")

    assert again.count("failed") == 1, again.text
    signature = re.compile(r"signature (\w{12})")
    assert signature.findall(again.text)[0] in signature.findall(section)
    assert "def test_" in section


@scenario(cpus=1)
def one_stop(m: ScenarioBuilder) -> None:
    """It ends."""
    m.task(cpu=0).stop_machine()


def test_a_single_scenario_is_checked_with_the_whole_report_always_the_same() -> None:
    check(one_stop)
    notes = set()
    for _ in range(2):
        with pytest.raises(Violated, match="violated: one_stop: ") as raised:
            check(one_stop, bug="completion-wrong-reinit")
        notes |= set(raised.value.__notes__)
    (note,) = notes
    assert "def test_one_stop(explore):" in note
    assert 'explore(one_stop, bug=["completion-wrong-reinit"], schedule="1:' in note
    assert "nobody is left who would act" in note


def test_an_operation_that_does_not_exist_is_told() -> None:
    with pytest.raises(ScenarioError, match="operation 'cal': no such operation; did you mean cal"):
        scenarios(operations=["cal"])
