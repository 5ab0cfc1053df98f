// SPDX-License-Identifier: MIT
/* A reader of SRCU may nest and sleep; who waits for it lets those run who wake it. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);
static DECLARE_COMPLETION(woken);

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, reader)
{
	u32 outer = srcu_read_lock(&domain), inner;
	const u64 *value = srcu_dereference(shared, &domain);

	inner = srcu_read_lock(&domain);
	srcu_read_unlock(&domain, inner);
	wait_for_completion(&woken);
	if (value)
		claim(*value == 0, *value);
	srcu_read_unlock(&domain, outer);
}

/* While the other one sleeps. */
TASK(0, passer_by)
{
	srcu_read_unlock(&domain, srcu_read_lock(&domain));
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}

TASK(1, waker)
{
	complete(&woken);
}
