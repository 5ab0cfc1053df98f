// SPDX-License-Identifier: MIT
/* NMIs are readers of SRCU where all readers say so, and an updater is told when one leaves. */
#include <explore.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

static void read(void)
{
	u32 idx = srcu_read_lock_nmisafe(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock_nmisafe(&domain, idx);
}

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	srcu_read_unlock_nmisafe(&domain, srcu_read_lock_nmisafe(&domain));
}

NMI(0, 1, watchdog)
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

/* There is somebody else here, so the updater rather sleeps. */
TASK(1, other)
{
	cond_resched();
}
