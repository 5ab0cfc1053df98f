// SPDX-License-Identifier: MIT
/* Who asks whether a grace period lies behind may rely on the answer. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;
static DECLARE_COMPLETION(ended);

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, reader)
{
	const u64 *value;

	rcu_read_lock();
	value = rcu_dereference(shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

/* Its grace period may have begun before the removal. */
TASK(1, other)
{
	synchronize_rcu();
	complete(&ended);
}

TASK(2, updater)
{
	u64 *old = shared, cookie;

	WRITE_ONCE(shared, NULL);
	cookie = get_state_synchronize_rcu();
	wait_for_completion(&ended);
	if (!poll_state_synchronize_rcu(cookie))
		cond_synchronize_rcu(cookie);
	kfree(old);
}
