// SPDX-License-Identifier: MIT
/* A grace period that began before a removal is not the one that it needs. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared[2];

INIT
{
	for (u32 n = 0; n < 2; n++)
		shared[n] = kzalloc(sizeof(u64), GFP_KERNEL);
}

static void replace(u32 n)
{
	u64 *old = shared[n];

	WRITE_ONCE(shared[n], NULL);
	synchronize_rcu();
	kfree(old);
}

TASK(0, reader)
{
	const u64 *value;

	rcu_read_lock();
	value = rcu_dereference(shared[1]);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

TASK(1, first)
{
	replace(0);
}

TASK(2, second)
{
	replace(1);
}
