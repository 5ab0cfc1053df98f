// SPDX-License-Identifier: MIT
/* A region with interrupts off is a reader as well. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, reader)
{
	u32 flags = local_irq_save();
	const u64 *value = rcu_dereference(shared);

	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	local_irq_restore(flags);
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_rcu();
	kfree(old);
}
