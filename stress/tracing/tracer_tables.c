// SPDX-License-Identifier: MIT
/*
 * What tracing looks up while others change it: the function that is called directly, and the
 * sites of a module that is unloaded.
 */
#include <kernel/rcu_tasks.h>
#include "direct.h"

static u64 loadable;

INIT
{
	loadable = text_function_named("loadable_traced")->addr;
	begin_direct();
}

TASK(0, owner)
{
	claim(!text_module_unload(text_module_at(loadable)));
	change_and_end_direct();
}

TASK(1, caller)
{
	u64 found = ftrace_location(loadable + 2);

	claim(!found || found == loadable, found, loadable);
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
