// SPDX-License-Identifier: MIT
/* A grace period of tasks-trace finds who has just begun to run, and ends when it asks too late. */
#include <explore.h>
#include <kernel/rcu_tasks_trace.h>

static u32 removed, reused;

TASK(0, updater)
{
	WRITE_ONCE(removed, 1);
	synchronize_rcu_tasks_trace();
	WRITE_ONCE(reused, 1);
}

/* The next one gets the CPU from it. */
TASK(1, before)
{
}

TASK(1, reader)
{
	u32 seen;

	rcu_read_lock_trace();
	seen = READ_ONCE(removed);
	claim(seen || !READ_ONCE(reused), seen);
	rcu_read_unlock_trace();
}
