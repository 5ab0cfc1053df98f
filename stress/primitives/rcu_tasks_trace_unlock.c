// SPDX-License-Identifier: MIT
/* A grace period of tasks-trace ends, whenever it asks a reader that is about to end. */
#include <explore.h>
#include <kernel/rcu_tasks_trace.h>

TASK(0, updater)
{
	synchronize_rcu_tasks_trace();
}

TASK(1, reader)
{
	rcu_read_lock_trace();
	rcu_read_unlock_trace();
}
