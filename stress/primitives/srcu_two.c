// SPDX-License-Identifier: MIT
/* A reader that has picked its phase, and is late to count itself, is waited for all the same. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
}

TASK(0, reader)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}

TASK(1, updater)
{
	u64 *old = shared;

	/* The reader may still have the phase that was current before this. */
	synchronize_srcu(&domain);
	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	*old = 1;
	kfree(old);
}
