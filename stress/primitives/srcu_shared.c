// SPDX-License-Identifier: MIT
/* A grace period of SRCU that began before a removal is not the one that it needs. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared[2];

INIT
{
	for (u32 n = 0; n < 2; n++)
		shared[n] = kzalloc(sizeof(u64), GFP_KERNEL);
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
}

static void replace(u32 n)
{
	u64 *old = shared[n];

	WRITE_ONCE(shared[n], NULL);
	synchronize_srcu(&domain);
	kfree(old);
}

TASK(0, reader)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared[1], &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}

TASK(1, first)
{
	replace(0);
}

TASK(2, second)
{
	replace(1);
}
