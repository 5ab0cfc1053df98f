// SPDX-License-Identifier: MIT
/*
 * A tracer goes while a function is called: when unregister_ftrace_function() has returned nobody
 * is in its callback, or in its trampoline.
 *
 * -D COMES: it comes meanwhile, too. -D TWO: another one of the function comes and goes before.
 */
#include <explore.h>
#include <kernel/ftrace.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>
#include <kernel/text.h>

#define LIVE 0x11fe

static u64 function;
static struct ftrace_ops *first;
static u32 hits;

static void callback(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	claim(ip == function && fregs->di == 5 && fregs->si == 2, ip, fregs->di, fregs->si);
	claim(op->private == (void *)LIVE, (u64)op->private);
	WRITE_ONCE(hits, READ_ONCE(hits) + 1);
}

static struct ftrace_ops *tracer(void)
{
	struct ftrace_ops *ops = kzalloc(sizeof(*ops), GFP_NOFAIL);

	ops->func = callback;
	ops->private = (void *)LIVE;
	claim(!ftrace_set_filter_ips(ops, &function, 1, true));
	return ops;
}

static void forget(struct ftrace_ops *ops)
{
	claim(!unregister_ftrace_function(ops));
	ftrace_free_filter(ops);
	kfree(ops);
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	first = tracer();
#ifndef COMES
	claim(!register_ftrace_function(first));
#endif
}

TASK(0, owner)
{
#ifdef COMES
	claim(!register_ftrace_function(first));
#endif
#ifdef TWO
	struct ftrace_ops *second = tracer();

	claim(!register_ftrace_function(second));
	forget(second);
#endif
	forget(first);
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}

FINAL_CHECK
{
	claim(hits <= 2, hits);
}
