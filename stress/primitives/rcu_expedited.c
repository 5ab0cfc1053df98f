// SPDX-License-Identifier: MIT
/* Grace periods of both kinds are under way at once, and none ends early for the other's sake. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

/* Its CPU idles before and afterwards. */
IRQ(0, 2, reader)
{
	const u64 *value;

	rcu_read_lock();
	value = rcu_dereference(shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

TASK(1, ordinary)
{
	for (u32 n = 0; n < 3; n++)
		synchronize_rcu();
}

TASK(2, hasty)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_rcu_expedited();
	kfree(old);
}
