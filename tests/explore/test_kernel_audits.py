"""What a run must leave: text, tables of probes and sections as they have to be; or it is found.

The one scenario has a task in C, and its argument says what that task does wrong; 0 is nothing.
"""

from __future__ import annotations

import pytest

from testbed.findings import Kind, Verdict
from tests.explore.conftest import Explore, kept

SCENARIO = '''"""A task that leaves things behind."""

from testbed.scenario import scenario


@scenario(cpus=2)
def leaves(m):
    """Everything is as it was."""
    m.function("push_rbp")
    m.c_task("tasks.c", "leave", cpu=1, argument={})
'''

TASKS = r"""
#include <finding.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kprobe_internal.h>
#include <kernel/slab.h>
#include <kernel/text_poke.h>

enum wrong {
	NOTHING, TEXT_CHANGED, TEXT_CHANGED_BESIDE_A_PROBE, FLAG_CHANGED, BREAKPOINT_LOST,
	DISARMED_TWICE, LEFT_REGISTERED, UNREGISTERED_NOT_FREED, HANDLER_LEAVES_PREEMPTION_OFF,
};

s64 leave(void *wrong);

static struct kprobe *kept;

static void poke(u64 addr, u8 byte)
{
	cpus_read_lock();
	mutex_lock(&text_mutex);
	text_poke_byte(addr, byte);
	mutex_unlock(&text_mutex);
	cpus_read_unlock();
}

static void disarm(struct kprobe *p)
{
	cpus_read_lock();
	disarm_kprobe(p);
	cpus_read_unlock();
}

static int handler(struct kprobe *p, struct pt_regs *regs)
{
	if (p->data)
		preempt_disable();
	return 0;
}

static void with_probe(u64 addr, enum wrong wrong)
{
	struct kprobe *p = kzalloc(sizeof(*p), GFP_KERNEL);

	p->addr = addr;
	p->pre_handler = handler;
	p->data = wrong == HANDLER_LEAVES_PREEMPTION_OFF ? p : NULL;
	claim(!register_kprobe(p));
	text_call(addr, 1, 2);
	if (wrong == TEXT_CHANGED_BESIDE_A_PROBE)
		poke(addr + 1, *text_alias(addr + 1) ^ 1);
	if (wrong == FLAG_CHANGED)
		kprobe_set_flag(p, KPROBE_FLAG_DISABLED);
	if (wrong == BREAKPOINT_LOST)
		poke(addr, p->opcode);
	if (wrong == DISARMED_TWICE) {
		disarm(p);
		disarm(p);
	}
	if (wrong >= TEXT_CHANGED_BESIDE_A_PROBE && wrong <= LEFT_REGISTERED) {
		WRITE_ONCE(kept, p);
		return;
	}
	unregister_kprobe(p);
	if (wrong != UNREGISTERED_NOT_FREED)
		kfree(p);
}

s64 leave(void *wrong)
{
	const struct text_function *function = text_function_named("push_rbp");
	u64 addr = function->addr;
	u8 before = *text_alias(addr + function->size - 1);

	poke(addr + function->size - 1, before ^ 1);
	if ((enum wrong)(u64)wrong == TEXT_CHANGED)
		return 0;
	poke(addr + function->size - 1, before);
	with_probe(addr, (enum wrong)(u64)wrong);
	return 0;
}
"""

# In the order of enum wrong above; None: all is well.
EXPECTED = (
    None,
    Kind.TEXT_NOT_PRISTINE,
    Kind.TEXT_CORRUPT,
    Kind.BAD_STATE,
    Kind.BAD_STATE,
    Kind.BAD_STATE,
    None,
    Kind.LEAK,
    Kind.UNBALANCED,
)


@pytest.mark.parametrize(("wrong", "kind"), list(enumerate(EXPECTED)))
def test_what_a_run_leaves_is_judged(
    explore: Explore, wrong: int, kind: Kind | None
) -> None:
    scenarios = {f"wrong_{n}.py": SCENARIO.format(n) for n in range(len(EXPECTED))}
    folder = kept({"tasks.c": TASKS} | scenarios)

    result = explore(f"{folder}/wrong_{wrong}.py::leaves", strategy="portfolio", runs=200)

    if kind is None:
        assert result.verdict is Verdict.HELD
        assert result.findings == []
    else:
        assert result.verdict is Verdict.VIOLATED
        assert result.kinds == [kind]
