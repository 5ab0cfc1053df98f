// SPDX-License-Identifier: MIT
/* A reader of SRCU keeps what it has found until it leaves. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	/* The first reader says of which kind they are. */
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
}

static void read(void)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}

TASK(0, reader)
{
	read();
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}

TASK(2, other)
{
	read();
}
