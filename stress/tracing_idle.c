// SPDX-License-Identifier: MIT
/* Idle tasks call a function that may be traced, on all CPUs but the first. */
#include <finding.h>
#include <kernel/sched.h>
#include <kernel/text.h>

static u64 function;

static void call_function(void)
{
	if (smp_processor_id())
		claim(machine_call_text(function, 3, 4) == (33 ^ 4), function);
}

s64 idle_calls(void)
{
	function = text_function_named("traced_mix")->addr;
	set_idle_call(call_function);
	return 0;
}

s64 idle_rests(void)
{
	set_idle_call(NULL);
	return 0;
}
