"""Scenarios on the real machine: what is shipped holds, and its broken twins are violated."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from testbed.findings import Summary, Verdict
from testbed.harness import Harness, HarnessError, harnesses, load, stress_folder
from testbed.kinds import Kind
from testbed.scenario import Scenario, ScenarioBuilder, scenario, scenarios
from testbed.scenario.harness import harness_of
from testbed.stress import RunOptions, run

HERE = Path(__file__)

# A bug is looked for in turns: another seed after a while.
TURNS, TURN_S = 20, 1.0


def once(
    harness: Harness, seconds: float, seed: int = 1, patches: tuple[Path, ...] = (),
    poke: str = "int3", cpus: int | None = None, **own: int
) -> Summary:  # fmt: skip
    extra = {option.name: option.default for option in harness.options} | own
    return run(harness, RunOptions(
        cpus=cpus or harness.cpus or 2, seed=seed, duration_s=seconds, poke=poke, patches=patches,
        extra=extra,
    ))  # fmt: skip


SHIPPED = [one.name for one in harnesses() if one.path.name == "scenarios.py"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_ends_as_it_says(name: str) -> None:
    harness = load(name)
    summary = once(harness, 0.4)

    assert summary.verdict == harness.expect, summary.findings or summary.reason
    assert summary.counters["rounds"] > 10
    assert summary.counters.get("hits", 1) > 0


@pytest.mark.parametrize("name", ["patch_vs_call", "patch_vs_probe", "enable_vs_hit"])
def test_it_holds_when_text_is_changed_by_stop_machine(name: str) -> None:
    assert once(load(name), 0.5, poke="stop_machine").verdict is Verdict.HELD


@pytest.mark.parametrize("name", ["aggregate_vs_hit", "enable_vs_unregister"])
def test_it_holds_when_arming_or_allocating_fails_now_and_then(name: str) -> None:
    summary = once(load(name), 0.5, fail_arm=5, fail_alloc=20)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["injected failures"] > 0


def test_more_cpus_than_it_needs_may_idle() -> None:
    assert once(load("unregister_vs_hit"), 0.5, cpus=4).verdict is Verdict.HELD


def test_a_number_of_rounds_ends_it() -> None:
    summary = once(load("irq_hit"), 60.0, rounds=30)

    assert summary.verdict is Verdict.HELD
    assert summary.counters["rounds"] == 30
    assert summary.counters["unregisters"] == 30
    assert summary.counters["calls"] == 30 * 12
    assert summary.duration_s < 50


BROKEN = [
    ("unregister_vs_hit", "unhash-before-disarm", {Kind.UNKNOWN_TRAP}),
    ("delayed_handler_vs_unregister", "handler-after-unregister",
     {Kind.HANDLER_AFTER_UNREGISTER, Kind.USE_AFTER_FREE}),
    ("nested_hit_is_missed", "lost-nmissed", {Kind.LOST_MISS}),
    ("patch_vs_call", "int3-treated-as-nop", {Kind.WRONG_RESULT}),
    ("nmi_hit", "nmi-into-reentry", {Kind.BAD_STATE}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "bug", "kinds"), BROKEN)
def test_a_broken_twin_is_violated_as_the_bug_is(name: str, bug: str, kinds: set[Kind]) -> None:
    patch = stress_folder() / "zoo" / f"{bug}.patch"
    for seed in range(TURNS):
        summary = once(load(name), TURN_S, seed, (patch,))
        if summary.findings:
            break

    assert summary.verdict is Verdict.VIOLATED
    assert {finding.kind for finding in summary.findings} <= kinds


@scenario(cpus=2)
def message_is_seen(m: ScenarioBuilder) -> None:
    """Whoever sees that a message is published sees the message."""
    m.before("protocol.c", "protocol_begin")
    m.c_task("protocol.c", "protocol_write", cpu=0, argument=42)
    m.c_task("protocol.c", "protocol_read", cpu=1, argument=42)


@scenario(cpus=2, expect="violated")
def message_is_never_seen(m: ScenarioBuilder) -> None:
    """The reader comes too early every time, which is not true."""
    m.before("protocol.c", "protocol_begin")
    m.after("protocol.c", "protocol_never_taken")
    m.c_task("protocol.c", "protocol_write", cpu=0, argument=42)
    m.c_task("protocol.c", "protocol_read", cpu=1, argument=42)


@pytest.mark.parametrize("one", [message_is_seen, message_is_never_seen], ids=lambda one: one.name)
def test_a_protocol_in_c_is_judged_by_what_it_returns(one: Scenario) -> None:
    summary = once(harness_of(one, HERE), 1.0)

    assert summary.verdict == one.expect
    for finding in summary.findings:
        assert finding.kind is Kind.CLAIM
        assert "call_between" in finding.title


# A race of two tasks for one probe: whoever comes too late does nothing.
@scenario(cpus=2)
def two_owners(m: ScenarioBuilder) -> None:
    """Two tasks register and unregister the same probe, and one of them is always refused."""
    p = m.kprobe(m.function("nop5"))
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).register(p).disable(p).unregister(p)


def test_misuse_by_a_race_is_counted_and_no_finding() -> None:
    summary = once(harness_of(two_owners, HERE), 1.0)

    assert summary.verdict is Verdict.HELD, summary.findings
    assert summary.counters["misuses by a race of tasks"] > 0


def test_what_a_round_leaves_over_is_tidied_up() -> None:
    @scenario(cpus=2)
    def untidy(m: ScenarioBuilder) -> None:
        """Each round starts from the same state."""
        f, site = m.function("nop5"), m.function("site_call")
        p = m.kprobe(f)
        m.task(cpu=0).register(p).disarm_all().patch(site, 2)
        m.task(cpu=1).call(f, times=3).call(site, times=3)

    summary = once(harness_of(untidy, HERE), 0.5, rounds=20)

    assert summary.verdict is Verdict.HELD, summary.findings
    assert summary.counters["left over"] == 2 * summary.counters["rounds"] == 40


@settings(
    max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(one=scenarios())
def test_generated_scenarios_hold(one: Scenario) -> None:
    summary = once(harness_of(one, HERE), 0.2)

    sys.stdout.write(str(one))
    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason


INTERRUPTED = ["device_hit", "nmi_hit", "nmi_into_idle"]


@pytest.mark.parametrize("name", INTERRUPTED)
def test_devices_and_nmis_come_and_hit_probes(name: str) -> None:
    harness = load(name)
    summary = once(harness, 1.0)
    counted = {"device_hit": "interrupts of devices"}.get(name, "NMIs")

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters[counted] > 50
    assert summary.counters["hits"] > 0


@pytest.mark.parametrize("name", INTERRUPTED)
def test_they_come_where_there_are_more_cpus_than_cores(name: str) -> None:
    summary = once(load(name), 1.0, cpus=6)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["rounds"] > 10


def test_without_devices_none_comes() -> None:
    summary = once(load("device_hit"), 0.5, device_us=0)

    assert summary.verdict is Verdict.HELD
    assert summary.counters["rounds"] > 10
    assert summary.counters["interrupts of devices"] == 0


@scenario(cpus=2)
def counted_interrupts(m: ScenarioBuilder) -> None:
    """What comes is between before and after, and nothing of it is lost."""
    m.before("interrupts.c", "interrupts_begin")
    m.after("interrupts.c", "interrupts_all_counted")
    m.c_task("interrupts.c", "interrupts_count", cpu=0, argument=1)
    m.c_task("interrupts.c", "interrupts_count", cpu=1, argument=1)
    m.c_irq("interrupts.c", "interrupts_came", cpu=0, argument=2, times=3)
    m.c_irq("interrupts.c", "interrupts_came_enabled", cpu=1, argument=2, times=3)
    m.c_irq("interrupts.c", "interrupts_came", cpu=1, argument=4)
    m.c_nmi("interrupts.c", "interrupts_came_by_nmi", cpu=1, argument=8, times=5)


def test_interrupts_in_c_come_into_each_other_but_not_between_rounds() -> None:
    summary = once(harness_of(counted_interrupts, HERE), 1.0, delay=0)

    assert summary.verdict is Verdict.HELD, summary.findings or summary.reason
    assert summary.counters["interrupts of devices"] > 50
    assert summary.counters["NMIs"] > 50


def test_an_nmi_that_runs_what_stop_machine_patches_is_refused() -> None:
    @scenario(cpus=2)
    def patching(m: ScenarioBuilder) -> None:
        """It claims."""
        site = m.function("site_call")
        m.task(cpu=0).patch(site)
        m.nmi(cpu=1).call(site)

    assert once(harness_of(patching, HERE), 0.5).verdict is Verdict.HELD
    with pytest.raises(HarnessError, match=r"patching: its NMI .* use --poke int3"):
        once(harness_of(patching, HERE), 0.5, poke="stop_machine")
