// SPDX-License-Identifier: MIT
/* A reader that loses its CPU keeps what it has found until its outermost section ends. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared, *other_shared;
static DECLARE_COMPLETION(wanted);

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	other_shared = kzalloc(sizeof(*other_shared), GFP_KERNEL);
}

/* Takes the CPU from the reader when it wakes. */
TASK(0, other)
{
	wait_for_completion(&wanted);
}

TASK(0, reader)
{
	const u64 *value, *other_value;

	rcu_read_lock();
	rcu_read_lock();
	value = rcu_dereference(shared);
	rcu_read_unlock();
	other_value = rcu_dereference(other_shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	if (other_value)
		claim(READ_ONCE(*other_value) == 0, *other_value);
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

TASK(2, hasty)
{
	u64 *old = other_shared;

	WRITE_ONCE(other_shared, NULL);
	synchronize_rcu_expedited();
	kfree(old);
}
