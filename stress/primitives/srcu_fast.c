// SPDX-License-Identifier: MIT
/* Readers of SRCU without barriers: the updater interrupts each CPU instead. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, reader)
{
	u32 idx = srcu_read_lock_fast(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock_fast(&domain, idx);
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}
