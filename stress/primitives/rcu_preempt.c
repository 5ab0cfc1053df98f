// SPDX-License-Identifier: MIT
/* A reader that loses its CPU keeps what it has found until its outermost section ends. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;
static DECLARE_COMPLETION(wanted);

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

/* Takes the CPU from the reader when it wakes. */
TASK(0, other)
{
	wait_for_completion(&wanted);
}

TASK(0, reader)
{
	const u64 *value;

	rcu_read_lock();
	rcu_read_lock();
	value = rcu_dereference(shared);
	rcu_read_unlock();
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	complete(&wanted);
	synchronize_rcu();
	kfree(old);
}
