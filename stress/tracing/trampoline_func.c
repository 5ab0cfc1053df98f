// SPDX-License-Identifier: MIT
/*
 * Of two tracers of a function one goes, and the other one is called directly from then on: with
 * another callback, and with another tracer. Each callback gets the tracer that it belongs to.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/rcu_tasks.h>
#include <kernel/text.h>

static u64 function;

static void called_first(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
static void called_last(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);

static struct ftrace_ops first = { .func = called_first, .flags = FTRACE_OPS_FL_NO_TRAMPOLINE };
static struct ftrace_ops last = { .func = called_last, .flags = FTRACE_OPS_FL_NO_TRAMPOLINE };

static void called_first(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(op == &first, (u64)op);
}

static void called_last(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(op == &last, (u64)op);
}

static void trace(struct ftrace_ops *ops)
{
	claim(!ftrace_set_filter_ips(ops, &function, 1, true));
	claim(!register_ftrace_function(ops));
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	/* It is alone for a while, so ftrace_caller passes it on. */
	trace(&first);
	trace(&last);
}

TASK(0, owner)
{
	claim(!unregister_ftrace_function(&first));
	claim(!unregister_ftrace_function(&last));
	ftrace_free_filter(&first);
	ftrace_free_filter(&last);
}

TASK(1, caller)
{
	/* A grace period may end here, and the call come after it. */
	cond_resched_tasks_rcu_qs();
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
