// SPDX-License-Identifier: MIT
/* The function that is called directly is looked up while it becomes another one, and none. */
#include <kernel/rcu_tasks.h>
#include "direct.h"

INIT
{
	begin_direct();
}

TASK(0, owner)
{
	change_and_end_direct();
}

TASK(1, caller)
{
	claim(text_call(function, 5, 2) == 5 + 2 + 3);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}
