// SPDX-License-Identifier: MIT
/*
 * Whoever is told of the returns of a function goes while it is called: no handler runs after
 * that, and the function returns to where it was called.
 */
#include <explore.h>
#include <kernel/fprobe.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>
#include <kernel/text.h>

static u64 function;
static struct fprobe *freed;

static void entered(struct fprobe *fp, u64 ip, struct ftrace_regs *fregs)
{
	claim(fp == freed && ip == function && fregs->di == 5, (u64)fp, ip, fregs->di);
}

static void left(struct fprobe *fp, u64 ip, u64 result)
{
	claim(fp == freed && fp->rethook && ip == function && result == 10, (u64)fp, ip, result);
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	freed = kzalloc(sizeof(*freed), GFP_NOFAIL);
	freed->entry_handler = entered;
	freed->exit_handler = left;
	claim(!register_fprobe_ips(freed, &function, 1));
}

TASK(0, owner)
{
	claim(!unregister_fprobe(freed));
	kfree(freed);
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
