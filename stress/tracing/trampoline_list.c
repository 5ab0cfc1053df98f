// SPDX-License-Identifier: MIT
/*
 * A tracer goes that shares its function with others, so that no text changes: nobody is in its
 * callback, or about to be, when it is freed.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define LIVE 0x11fe
#define TRACERS 3

static u64 function;
static struct ftrace_ops *tracers[TRACERS];

static void callback(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(ip == function && op->private == (void *)LIVE, ip, (u64)op->private);
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	for (u32 n = 0; n < TRACERS; n++) {
		struct ftrace_ops *ops = kzalloc(sizeof(*ops), GFP_NOFAIL);

		ops->func = callback;
		ops->private = (void *)LIVE;
		claim(!ftrace_set_filter_ips(ops, &function, 1, true));
		claim(!register_ftrace_function(ops));
		tracers[n] = ops;
	}
}

/* The last one has the function for itself again. */
TASK(0, owner)
{
	for (u32 n = 0; n < TRACERS; n++) {
		claim(!unregister_ftrace_function(tracers[n]));
		ftrace_free_filter(tracers[n]);
		kfree(tracers[n]);
	}
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	claim(text_call(function, 6, 2) == 6 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
