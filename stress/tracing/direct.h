/* SPDX-License-Identifier: MIT */
/* A function that is called directly, by one function and by another one after it. */
#ifndef STRESS_TRACING_DIRECT_H
#define STRESS_TRACING_DIRECT_H

#include <error.h>
#include <explore.h>
#include <kernel/ftrace_direct.h>
#include <kernel/text.h>

static u64 function;          /* traced_sum() */

static void before(u64 ip, struct ftrace_regs *fregs)
{
	claim(ip == function && fregs->di == 5, ip, fregs->di);
}

static void after(u64 ip, struct ftrace_regs *fregs)
{
	claim(ip == function && fregs->si == 2, ip, fregs->si);
}

static void begin_direct(void)
{
	function = text_function_named("traced_sum")->addr;
	claim(!register_ftrace_direct(function, before));
}

static void change_and_end_direct(void)
{
	claim(!modify_ftrace_direct(function, after));
	claim(!unregister_ftrace_direct(function));
	claim(unregister_ftrace_direct(function) == -ENOENT);
}

#endif
