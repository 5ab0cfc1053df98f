// SPDX-License-Identifier: MIT
/*
 * An interrupt comes while a task runs text; what it came to is where, in bytes + 1.
 * -D BOOSTED: the first instruction is probed, and runs from a slot; where in the slot, in
 * bytes + 100. -D PREEMPTED: instead of that, whether a tick had another task run while this
 * one had begun to run text and not ended.
 */
#include <explore.h>
#include <kernel/kprobes.h>
#include <kernel/text.h>
#include <outcome.h>

static const struct text_function *function;
static u64 place;
static u32 inside, between;

static int nothing(struct kprobe *p, struct pt_regs *regs)
{
	return 0;
}

static struct kprobe probe = { .symbol_name = "push_rbp", .pre_handler = nothing };

INIT
{
	function = text_function_named("push_rbp");
#ifdef BOOSTED
	claim(!register_kprobe(&probe));
	claim(probe.ainsn.boostable);
#endif
}

#ifndef PREEMPTED
IRQ(0, 1, interrupt)
{
	const struct pt_regs *regs = this_cpu()->irq_regs;

	if (!regs || !is_text(regs->ip))
		return;
	place = regs->ip - function->addr < function->size ? regs->ip - function->addr + 1 :
		regs->ip - probe.ainsn.slot + 100;
}
#endif

TASK(0, runner)
{
	u64 result;

	WRITE_ONCE(inside, 1);
	result = text_call(function->addr, 5, 2);
	WRITE_ONCE(inside, 0);
	claim(result == 11, result);
}

#ifdef PREEMPTED
TASK(0, other)
{
	between = READ_ONCE(inside);
	text_call(function->addr, 1, 1);
}
#endif

FINAL_CHECK { explore_outcome(place ? : between); }
