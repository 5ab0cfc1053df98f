// SPDX-License-Identifier: MIT
/*
 * A callback sleeps, and returns to its trampoline: that is there until nobody is left who does.
 * Another tracer is set up by two tasks at once.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define LIVE 0x11fe

static u64 function;
static struct ftrace_ops *freed;

static void nothing(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
}

/* Both tasks set it up. */
static struct ftrace_ops shared = { .func = nothing };

static void callback(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(op->private == (void *)LIVE, (u64)op->private);
	yield();
	claim(op->private == (void *)LIVE, (u64)op->private);
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	freed = kzalloc(sizeof(*freed), GFP_NOFAIL);
	freed->func = callback;
	freed->private = (void *)LIVE;
	freed->flags = FTRACE_OPS_FL_SLEEPS;
	claim(!ftrace_set_filter_ips(freed, &function, 1, true));
	claim(!register_ftrace_function(freed));
}

TASK(0, owner)
{
	claim(!ftrace_set_filter_ips(&shared, &function, 1, true));
	claim(!unregister_ftrace_function(freed));
	ftrace_free_filter(freed);
	kfree(freed);
}

TASK(1, caller)
{
	claim(!ftrace_set_filter_ips(&shared, &function, 1, true));
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
