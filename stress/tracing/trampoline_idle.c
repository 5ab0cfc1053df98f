// SPDX-License-Identifier: MIT
/*
 * An idle CPU calls functions that are traced, also where RCU does not watch: what it may be in,
 * or look at, is not freed.
 *
 * One function has a trampoline, which is freed. The other one is called by the list, which looks
 * at the filter of its tracer: that is replaced.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/smp.h>
#include <kernel/text.h>

#define LIVE 0x11fe

EXPLORE_CPUS(2);

static u64 functions[2];
static struct ftrace_ops *freed;

static void callback(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(op->private == (void *)LIVE, (u64)op->private);
}

static struct ftrace_ops listed = {
	.func = callback, .private = (void *)LIVE,
	.flags = FTRACE_OPS_FL_NO_TRAMPOLINE | FTRACE_OPS_FL_RECURSION,
};

static void call_both(void)
{
	if (smp_processor_id() != 1)
		return;
	claim(text_call(functions[0], 5, 2) == 5 + 2 + 3);
	claim(text_call(functions[1], 5, 2) == (55 ^ 2));
}

INIT
{
	functions[0] = text_function_named("traced_sum")->addr;
	functions[1] = text_function_named("traced_mix")->addr;
	freed = kzalloc(sizeof(*freed), GFP_NOFAIL);
	freed->func = callback;
	freed->private = (void *)LIVE;
	claim(!ftrace_set_filter_ips(freed, &functions[0], 1, true));
	claim(!register_ftrace_function(freed));
	claim(!ftrace_set_filter_ips(&listed, &functions[1], 1, true));
	claim(!register_ftrace_function(&listed));
	set_idle_call(call_both);
}

static void nothing(void *unused)
{
}

TASK(0, owner)
{
	/* It wakes, and comes by while it rests again. */
	smp_call_function_single(1, nothing, NULL, true);
	claim(!unregister_ftrace_function(freed));
	ftrace_free_filter(freed);
	kfree(freed);
	/* Nothing but memory changes, so nobody is interrupted. */
	claim(!ftrace_set_filter_ips(&listed, &functions[1], 1, true));
	claim(!unregister_ftrace_function(&listed));
	set_idle_call(NULL);
}
