// SPDX-License-Identifier: MIT
/* Interrupts are readers of SRCU, also in the middle of a task's count. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

static void read(void)
{
	u32 idx = srcu_read_lock(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, idx);
}

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
}

IRQ(0, 1, device)
{
	read();
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
