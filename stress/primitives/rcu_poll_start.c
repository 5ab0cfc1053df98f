// SPDX-License-Identifier: MIT
/* A grace period that was started for later comes to its end, and its number says so. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

struct element {
	u64 value;
	struct rcu_head head;
};

static struct element *shared;
static u64 *other;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	other = kzalloc(sizeof(*other), GFP_KERNEL);
}

TASK(0, reader)
{
	const struct element *element;
	const u64 *value;

	rcu_read_lock();
	element = rcu_dereference(shared);
	value = rcu_dereference(other);
	if (element)
		claim(READ_ONCE(element->value) == 0, element->value);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

TASK(1, updater)
{
	struct element *old = shared;
	u64 *value = other, cookie;

	WRITE_ONCE(other, NULL);
	cookie = start_poll_synchronize_rcu();
	WRITE_ONCE(shared, NULL);
	kfree_rcu(old, head);
	/* Its callback comes after the grace period that was started before. */
	rcu_barrier();
	claim(poll_state_synchronize_rcu(cookie), cookie);
	kfree(value);
}
