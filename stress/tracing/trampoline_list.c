// SPDX-License-Identifier: MIT
/*
 * Tracers of one function go one after the other while it is called: each callback gets the
 * tracer that it belongs to, and none that was freed.
 *
 * When the first one goes no text changes. When the second one goes the one that is left is
 * called directly: with another function, and with another tracer.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define LIVE 0x11fe

static u64 function;
static struct ftrace_ops *freed;

static void called_first(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(ip == function && op->private == (void *)LIVE, ip, (u64)op->private);
}

static void called_second(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
static void called_last(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);

static struct ftrace_ops second = {
	.func = called_second, .flags = FTRACE_OPS_FL_NO_TRAMPOLINE,
};
static struct ftrace_ops last = { .func = called_last, .flags = FTRACE_OPS_FL_NO_TRAMPOLINE };

static void called_second(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(op == &second, (u64)op);
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
	freed = kzalloc(sizeof(*freed), GFP_NOFAIL);
	freed->func = called_first;
	freed->private = (void *)LIVE;
	trace(&last);
	trace(&second);
	trace(freed);
}

TASK(0, owner)
{
	claim(!unregister_ftrace_function(freed));
	ftrace_free_filter(freed);
	kfree(freed);
	claim(!unregister_ftrace_function(&second));
	claim(!unregister_ftrace_function(&last));
	ftrace_free_filter(&second);
	ftrace_free_filter(&last);
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	claim(text_call(function, 6, 2) == 6 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
