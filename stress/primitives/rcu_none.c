// SPDX-License-Identifier: MIT
/* Where tasks are not preempted a reader costs nothing: only its CPU says that it has ended. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

EXPLORE_PREEMPT(PREEMPT_NONE);

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, reader)
{
	const u64 *value;

	rcu_read_lock();
	value = rcu_dereference(shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
	cond_resched();
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_rcu();
	kfree(old);
}
