"""Scenarios as data: how they are written, what is refused, and that nothing is lost on the way."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.build import build
from testbed.errors import TestbedError
from testbed.harness import harnesses, load
from testbed.layout import Layout
from testbed.scenario import (
    CFunction,
    CTask,
    Interrupt,
    Operation,
    Probe,
    Scenario,
    ScenarioBuilder,
    ScenarioError,
    Task,
    scenario,
    scenarios,
)
from testbed.scenario import check as limits
from testbed.scenario.harness import harness_of
from testbed.scenario.model import BATCH, VOCABULARY
from testbed.scenario.table import operations_of, pack

NAMES = {
    "Scenario": Scenario, "Task": Task, "CTask": CTask, "CFunction": CFunction,
    "Interrupt": Interrupt, "Probe": Probe, "Operation": Operation,
}  # fmt: skip


@scenario(cpus=2)
def unregister_vs_hit(m: ScenarioBuilder) -> None:
    """A handler never runs after unregister_kprobe() has returned."""
    f = m.function("push_rbp")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.task(cpu=1).call(f, times=2)


@scenario(cpus=3, expect="violated", poke="stop_machine", fail_arm=9, preempt="none")
def everything(m: ScenarioBuilder) -> None:
    """All there is, and "quotes" in it."""
    f, g, site = m.function("push_rbp"), m.function("nop5"), m.function("site_call")
    p, q = m.kprobe(f, 4, handler="delay", delay=9), m.kprobe(m.function("nop5", 5), enabled=False)
    r = m.kprobe(f, handler="reenter", enters=g)
    s = m.kprobe(g, handler="skip", returns=-1)
    m.before("protocol.c", "prepare")
    m.after("protocol.c", "verify")
    (m.task(cpu=0).register(p).enable(p).disable(p).unregister(p).register_batch(q, r, s)
        .unregister_batch(s, q, r).arm_all().disarm_all().audit().barrier())
    (m.task(cpu=1).call(f, times=3, a=-1, b=2).call_in_irq(2, g, a=1).patch(site, "call helper_mix")
        .patch(site, 0).synchronize_rcu().stop_machine().yield_().barrier())
    (m.task(cpu=2).preempt_disable().preempt_disable().call(f).preempt_enable().preempt_enable()
        .irq_disable().call(g).irq_enable())
    jump = m.function("site_jump_forward")
    (m.task(cpu=2).patch_in_place(jump).bring_up(site, 0).unload("loadable")
        .call(m.function("loadable_nop5")).load("loadable"))
    m.c_task("protocol.c", "reader", cpu=2, argument=7)


@scenario(cpus=2)
def interrupted(m: ScenarioBuilder) -> None:
    """All that interrupts."""
    f = m.function("push_rbp")
    p = m.kprobe(f)
    m.task(cpu=0).register(p).unregister(p)
    m.irq(cpu=1, times=3).preempt_disable().irq_enable().call(f, a=1).irq_disable().preempt_enable()
    m.nmi().call(f, times=2).preempt_disable().call(f, b=2).preempt_enable()
    m.c_irq("protocol.c", "device", cpu=1, argument=-1)
    m.c_nmi("protocol.c", "device", times=255)


def test_a_scenario_is_plain_data() -> None:
    assert unregister_vs_hit == Scenario(
        name="unregister_vs_hit",
        claim="A handler never runs after unregister_kprobe() has returned.",
        cpus=2,
        expect="held",
        functions=("push_rbp",),
        probes=(Probe(0, "push_rbp"),),
        tasks=(
            Task(0, (Operation("register", (0,)), Operation("unregister", (0,)))),
            Task(1, (Operation("call", function="push_rbp", times=2),)),
        ),
    )
    assert len({unregister_vs_hit, everything, unregister_vs_hit}) == 2
    assert {operation.name for operation in everything.operations} == set(VOCABULARY)


def test_interrupts_are_plain_data_as_tasks_are() -> None:
    device = CFunction("protocol.c", "device")

    assert [(one.cpu, one.times, one.nmi) for one in interrupted.interrupts] == [
        (1, 3, False), (0, 1, True), (1, 1, False), (0, 255, True),
    ]  # fmt: skip
    assert interrupted.interrupts[2:] == (
        Interrupt(1, code=device, argument=2**64 - 1),
        Interrupt(0, times=255, nmi=True, code=device),
    )
    assert interrupted.c_functions == (device, device)
    assert Operation("irq_enable") in interrupted.operations


@pytest.mark.parametrize(
    "one", [unregister_vs_hit, everything, interrupted], ids=lambda one: one.name
)
def test_printed_it_can_be_pasted(one: Scenario) -> None:
    assert eval(repr(one), NAMES) == one
    assert declared(str(one)) == one


def declared(source: str) -> Scenario:
    names: dict[str, Any] = {"scenario": scenario}
    exec(source, names)
    return next(value for value in names.values() if isinstance(value, Scenario))


def test_it_prints_as_it_was_written() -> None:
    assert str(unregister_vs_hit) == (
        "@scenario(cpus=2)\n"
        "def unregister_vs_hit(m):\n"
        '    """A handler never runs after unregister_kprobe() has returned."""\n'
        "    f = m.function('push_rbp')\n"
        "    p0 = m.kprobe(f)\n"
        "    m.task(cpu=0).register(p0).unregister(p0)\n"
        "    m.task(cpu=1).call(f, times=2)\n"
    )


OTHER = ScenarioBuilder("other", "Other.")
OTHERS = OTHER.kprobe(OTHER.function("nop5"))

# What is declared after ``m.function()`` of all there is; and the sentence that refuses it.
REFUSED = """
m.function("push_rpb")
    function 'push_rpb': no such function; did you mean push_rbp?
m.kprobe(push_rbp, 2)
    kprobe on push_rbp+2: no probe can be put there; offsets that take one: 0, 1, 4, 5, 9, 13, 14
m.kprobe(nop5, handler="cuont")
    kprobe on nop5+0: handler 'cuont': there are count, delay, reenter, skip, post_count, \
unregister_elsewhere
m.kprobe(nop5, 5, handler="skip")
    kprobe on nop5+5: a skip handler returns from a function at its entry only
m.kprobe(nop5, handler="reenter")
    kprobe on nop5+0: enters= is what a reenter handler calls, and it needs one
m.kprobe(nop5, handler="reenter", enters=site_call)
    kprobe on nop5+0: enters=site_call: only what takes two numbers, and is never patched, can be \
called by a handler
m.kprobe("nop5")
    function 'nop5': functions come from m.function()
m.task().call("nop5")
    function 'nop5': functions come from m.function()
m.task().call(m.function("nop5", 5))
    nop5+5: only a whole function is called or patched
m.task().call(OTHER.function("four_bytes"))
    task 0, step 1 .call(four_bytes): function four_bytes is not of this scenario: use \
m.function() of its m
m.task().call(ret_imm_callee)
    task 0, step 1 .call(ret_imm_callee): ret_imm_callee cannot be called with two numbers
m.task().call(nop5, times=0)
    task 0, step 1 .call(nop5, times=0): times=0: 1 to 1000000
m.task().call_in_irq(2, nop5)
    task 0, step 1 .call_in_irq(2, nop5): cpu=2: its CPUs are 0 to 1
m.task().patch(nop5)
    task 0, step 1 .patch(nop5, 1): nop5 has no patch site; those that have: site_jump_forward, \
site_jump_backward, site_pair, site_call
m.task().patch(site_call, 3)
    task 0, step 1 .patch(site_call, 3): alternative 3: there are 0 to 2
m.task().patch(site_call, "call me")
    patch(site_call, 'call me'): there are unpatched, call helper_sum, call helper_mix
m.task().bring_up(site_call, 7)
    task 0, step 1 .bring_up(site_call, 7): alternative 7: there are 0 to 2
m.task().patch_in_place(m.function("site_pair"))
    task 0, step 1 .patch_in_place(site_pair, 1): site_pair has several instructions there: a task \
may be between them
m.task().patch_in_place(site_call).call_in_irq(1, site_call)
    task 0, step 1 .patch_in_place(site_call, 1): only one CPU may have to do with site_call: \
there are CPU 0, CPU 1
m.task().unload("core")
    task 0, step 1 .unload('core'): module 'core': there are loadable
m.task().register(m.kprobe(nop5, handler="reenter", enters=loadable_nop5)).unload("loadable")
    enters=loadable_nop5: a handler does not hold the module, which is unloaded
m.task().register(OTHERS)
    Probe(number=0, function='nop5') is not of this scenario: use m.kprobe() of its m
m.task().register(p).yield_().register(p)
    task 0, step 3 .register(p0): p0 is already registered there
m.task().register(p).unregister(p).enable(p)
    task 0, step 3 .enable(p0): p0 is not registered there
m.task().unregister(p)
    task 0, step 1 .unregister(p0): p0 is never registered
m.task().register_batch(p, p)
    task 0, step 1 .register_batch(p0, p0): the same probe twice
m.task().register_batch()
    task 0, step 1 .register_batch(): 0 probes: a batch has 1 to 8
m.task().preempt_disable().synchronize_rcu().preempt_enable()
    task 0, step 2 .synchronize_rcu(): preemption is off there, and it may sleep
m.task().irq_disable().call_in_irq(1, nop5).irq_enable()
    task 0, step 2 .call_in_irq(1, nop5): interrupts are off there, and it waits for one
m.task().irq_disable().irq_disable()
    task 0, step 2 .irq_disable(): interrupts are off there already
m.task().irq_disable()
    task 0: interrupts still off at its end
m.task().preempt_enable()
    task 0, step 1 .preempt_enable(): preemption is not off there
m.task(cpu=2).yield_()
    task 0: cpu=2: its CPUs are 0 to 1
m.task().barrier().barrier(), m.task().barrier()
    barriers: all tasks that have one need as many, else they wait for ever: task 0 has 2, \
task 1 has 1
m.task(), m.irq().register(p)
    irq 0, step 1 .register(p0): it may sleep, which an interrupt must not
m.task(), m.nmi().synchronize_rcu()
    nmi 0, step 1 .synchronize_rcu(): it may sleep, which an interrupt must not
m.task(), m.irq().call_in_irq(1, nop5)
    irq 0, step 1 .call_in_irq(1, nop5): it waits for another interrupt, which an interrupt must not
m.task(), m.irq().irq_disable()
    irq 0, step 1 .irq_disable(): interrupts are off there already
m.task(), m.irq().irq_enable()
    irq 0: interrupts still on at its end
m.task(), m.irq().irq_enable().irq_enable()
    irq 0, step 2 .irq_enable(): interrupts are on there already
m.task(), m.nmi().irq_enable()
    nmi 0, step 1 .irq_enable(): interrupts are off in an NMI, and stay so
m.task(), m.irq(cpu=1).preempt_enable()
    irq 0, step 1 .preempt_enable(): preemption was not off when it came
m.task(), m.irq().preempt_disable()
    irq 0: preemption still off at its end
m.task(), m.irq(cpu=2)
    irq 0: cpu=2: its CPUs are 0 to 1
m.task(), m.irq(), m.nmi(times=256)
    nmi 1: times=256: 1 to 255
m.task(), [m.irq() for _ in range(9)]
    9 interrupts of CPU 0: it has at most 8
m.task().patch_in_place(site_call), m.nmi().call(site_call)
    task 0, step 1 .patch_in_place(site_call, 1): an NMI runs site_call, and may come while it is \
half written
p
    0 tasks: a scenario has 1 to 32
"""


def refused() -> list[tuple[str, str]]:
    lines = REFUSED.strip().splitlines()
    return list(zip(lines[::2], (line.strip() for line in lines[1::2]), strict=True))


@pytest.mark.parametrize(("source", "sentence"), refused())
def test_what_cannot_be_meant_is_refused_with_its_value(source: str, sentence: str) -> None:
    def wrong(m: ScenarioBuilder) -> None:
        """It is wrong."""
        names = ("nop5", "push_rbp", "site_call", "ret_imm_callee", "loadable_nop5")
        functions = {name: m.function(name) for name in names}
        p = m.kprobe(functions["nop5"])
        eval(source, {"m": m, "p": p, "OTHER": OTHER, "OTHERS": OTHERS} | functions)

    with pytest.raises(ScenarioError) as error:
        scenario(cpus=2)(wrong)

    assert str(error.value) == f"wrong: {sentence}"


def test_a_scenario_without_a_claim_or_with_another_verdict_is_refused() -> None:
    with pytest.raises(ScenarioError, match="its docstring is the claim"):
        scenario()(lambda m: m.task().yield_())
    with pytest.raises(ScenarioError, match="expect='true': a scenario is expected to be held or"):
        scenario(expect="true")(of_some_claim)
    with pytest.raises(ScenarioError, match="poke='knife': text is poked by int3 or stop_machine"):
        scenario(poke="knife")(of_some_claim)
    with pytest.raises(ScenarioError, match="fail_arm=-1: 0 or more"):
        scenario(fail_arm=-1)(of_some_claim)
    with pytest.raises(ScenarioError, match="preempt='some': it is full or none"):
        scenario(preempt="some")(of_some_claim)


def test_an_nmi_does_not_go_together_with_text_that_stop_machine_patches() -> None:
    def patching(m: ScenarioBuilder) -> None:
        """It claims."""
        site = m.function("site_call")
        m.task().patch(site)
        m.nmi(cpu=1).call(site)

    assert scenario()(patching).interrupts
    with pytest.raises(ScenarioError, match=r"with patch\(\) and an NMI: .* half written"):
        scenario(poke="stop_machine")(patching)


def of_some_claim(m: ScenarioBuilder) -> None:
    """It claims."""
    m.task().yield_()


def test_a_probe_that_several_tasks_change_is_left_to_the_race() -> None:
    def race(m: ScenarioBuilder) -> None:
        """Who comes first?"""
        p = m.kprobe(m.function("nop5"))
        m.task(cpu=0).register(p).unregister(p)
        m.task(cpu=1).unregister(p).enable(p)

    assert len(scenario(cpus=2)(race).operations) == 4


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout.of(build())


@pytest.mark.parametrize("one", [unregister_vs_hit, everything], ids=lambda one: one.name)
def test_a_table_holds_all_of_the_operations(one: Scenario, layout: Layout) -> None:
    for task in one.tasks:
        if isinstance(task, Task):
            assert tuple(operations_of(one, pack(one, task, layout), layout)) == task.operations


def test_a_table_has_the_result_for_each_form_of_a_function(layout: Layout) -> None:
    call = Operation("call", function="site_call", a=5, b=2)
    one = Scenario("calls", "Calls.", 1, "held", ("site_call",), (), (Task(0, (call,)),))
    (entry,) = pack(one, Task(0, (call,)), layout)

    results = entry["call"]["expected"][:3].tolist()
    assert len(set(results)) == 3


def test_names_and_bounds_are_those_of_the_layout(layout: Layout) -> None:
    codes = set(layout.enum("operation_code")) - {"OPERATION_NONE", "OPERATIONS"}

    assert codes == {f"OPERATION_{name.upper()}" for name in VOCABULARY}
    assert layout.constant("SCENARIO_BATCH") == BATCH
    assert layout.constant("SCENARIO_TASKS") == limits.MAX_TASKS
    assert layout.constant("SCENARIO_PROBES") == limits.MAX_PROBES
    assert layout.constant("JUDGE_SLOTS") == limits.MAX_MET
    assert layout.constant("SCENARIO_INTERRUPTS") == limits.MAX_INTERRUPTS
    assert layout.constant("MAX_EXPLORED_INTERRUPTS") == limits.MAX_INTERRUPTS
    assert layout.constant("IRQ_LINES") == limits.MAX_LINES


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=scenarios())
def test_every_generated_scenario_is_valid_and_survives_printing(
    one: Scenario, layout: Layout
) -> None:
    limits.check(one)
    assert eval(repr(one), NAMES) == one
    assert declared(str(one)) == one
    for task in (*one.tasks, *one.interrupts):
        assert isinstance(task, Task | Interrupt)
        assert tuple(operations_of(one, pack(one, task, layout), layout)) == task.operations


SEVERAL = '''"""Mine."""

from testbed.scenario import scenario


@scenario(cpus=3)
def first(m):
    """The first one holds."""
    m.task(cpu=2).yield_()


@scenario(cpus=1, expect="violated")
def second(m):
    """The second one does not."""
    m.c_task("mine.c", "lose")
'''


@pytest.fixture
def several(tmp_path: Path) -> Path:
    (tmp_path / "mine.c").write_text("int lose(void) { return 1; }\n")
    path = tmp_path / "mine.py"
    path.write_text(SEVERAL)
    return path


def test_a_scenario_of_a_file_is_a_harness(several: Path) -> None:
    first, second = load(f"{several}::first"), load(f"{several}::second")

    assert (first.name, first.cpus, first.expect) == ("first", 3, "held")
    assert first.claim == "The first one holds."
    assert (second.cpus, second.expect) == (1, "violated")
    assert second.sources == (several.parent / "mine.c",)


def test_which_scenario_of_a_file_has_to_be_said(several: Path) -> None:
    with pytest.raises(TestbedError) as refused:
        load(str(several))
    assert str(refused.value) == (
        "mine.py: it has 2 scenarios: say which, for example mine.py::first"
    )
    with pytest.raises(TestbedError, match=r"mine\.py::third: it has first, second"):
        load(f"{several}::third")

    several.write_text(SEVERAL.split("@scenario(cpus=1", maxsplit=1)[0])
    assert load(str(several)).name == "first"


def test_a_missing_c_file_is_told(several: Path) -> None:
    (several.parent / "mine.c").unlink()

    with pytest.raises(TestbedError, match=r"second: .*mine.c is not there: name it as seen from"):
        load(f"{several}::second")


def test_shipped_scenarios_are_found_by_name() -> None:
    names = {harness.name for harness in harnesses()}

    assert {"kprobe_storm", "real_library", "unregister_vs_hit", "patch_vs_call"} <= names
    assert load("irq_hit").cpus == 2
    with pytest.raises(TestbedError, match="did you mean unregister_vs_hit"):
        load("unregister_vs_hitt")


def test_a_harness_names_its_c_files_relative_to_the_scenario(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match=r"protocol\.c is not there"):
        harness_of(everything, tmp_path / "x.py")
