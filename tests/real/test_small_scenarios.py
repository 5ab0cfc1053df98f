"""Modules that go, CPUs that come up, text that changes in place: the small scenarios, for real."""

import pytest

from testbed.findings import Verdict
from testbed.harness import harnesses, load
from testbed.scenario import ScenarioBuilder, scenario
from testbed.scenario.harness import harness_of
from tests.real.test_scenarios import HERE, once

SMALL = sorted(one.name for one in harnesses() if one.path.name in ("patching.py", "probing.py"))

@pytest.mark.parametrize("name", SMALL)
def test_a_small_scenario_holds(name: str) -> None:
    summary = once(load(name), 0.4)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["rounds"] > 10


def test_a_module_is_unloaded_only_while_nobody_holds_it() -> None:
    summary = once(load("register_vs_unload"), 1.0)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["modules unloaded"] > 0
    assert summary.counters["module not there, or held"] > 0


@scenario(cpus=2)
def calls_come_and_go(m: ScenarioBuilder) -> None:
    """A function of a module is called, probed and unloaded at once."""
    f, g = m.function("loadable_frame"), m.function("loadable_nop5")
    p = m.kprobe(g)
    m.task(cpu=0).register(p).call(f, a=3).enable(p).unregister(p).call_in_irq(1, g)
    m.task(cpu=1).unload("loadable").call(g, times=3).load("loadable").call(f, times=3)


def test_calls_hold_the_module_or_are_not_made() -> None:
    summary = once(harness_of(calls_come_and_go, HERE), 1.0)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["modules loaded"] > 0
    assert summary.counters["calls"] > 0
    assert summary.counters["module not there, or held"] > 0


@scenario(cpus=3)
def several_at_once(m: ScenarioBuilder) -> None:
    """Two instructions become one and two again, while tasks run them, wait, and are preempted."""
    f, g = m.function("site_pair"), m.function("site_jump_backward")
    m.task(cpu=0).patch(f).barrier().patch(f, 0).patch(g).patch(f).patch(f, 0)
    m.task(cpu=1).call(f, times=20, a=7, b=9).barrier().call(f, times=20, a=1)
    m.task(cpu=1).call(f, times=20, a=7, b=9).bring_up(g)
    m.task(cpu=2).call(f, times=20, a=5).barrier().call_in_irq(1, f, times=5)


@pytest.mark.parametrize("poke", ["int3", "stop_machine"])
def test_several_instructions_become_one_while_tasks_are_preempted(poke: str) -> None:
    summary = once(harness_of(several_at_once, HERE), 1.5, poke=poke)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["preemptions"] > 0
    assert summary.counters["instructions replaced"] > 50
