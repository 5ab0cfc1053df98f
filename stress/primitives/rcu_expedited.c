// SPDX-License-Identifier: MIT
/* Grace periods of both kinds are under way at once, and none ends early for the other's sake. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;
static DECLARE_COMPLETION(begun);

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

/* Its CPU idles until then. */
TASK(0, reader)
{
	const u64 *value;

	wait_for_completion(&begun);
	rcu_read_lock();
	value = rcu_dereference(shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

TASK(1, ordinary)
{
	synchronize_rcu();
}

TASK(2, hasty)
{
	u64 *old = shared;

	complete(&begun);
	WRITE_ONCE(shared, NULL);
	synchronize_rcu_expedited();
	kfree(old);
}
