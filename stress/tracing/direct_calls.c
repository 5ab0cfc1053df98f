// SPDX-License-Identifier: MIT
/* The function that is called directly is looked up while it becomes another one, and none. */
#include <error.h>
#include <explore.h>
#include <kernel/ftrace_direct.h>
#include <kernel/rcu_tasks.h>
#include <kernel/text.h>

static u64 function;

static void before(u64 ip, struct ftrace_regs *fregs)
{
	claim(ip == function && fregs->di == 5, ip, fregs->di);
}

static void after(u64 ip, struct ftrace_regs *fregs)
{
	claim(ip == function && fregs->si == 2, ip, fregs->si);
}

INIT
{
	function = text_function_named("traced_sum")->addr;
	claim(!register_ftrace_direct(function, before));
}

TASK(0, owner)
{
	claim(!modify_ftrace_direct(function, after));
	claim(!unregister_ftrace_direct(function));
	claim(unregister_ftrace_direct(function) == -ENOENT);
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
