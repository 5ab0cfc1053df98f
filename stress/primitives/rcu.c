// SPDX-License-Identifier: MIT
/* A reader keeps what it has found until it leaves. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

struct element {
	u64 value;
};

static struct element *shared;

static struct element *make(u64 value)
{
	struct element *element = kmalloc(sizeof(*element), GFP_KERNEL);

	element->value = value;
	return element;
}

INIT
{
	shared = make(1);
}

TASK(1, updater)
{
	struct element *old = shared, *new = make(2);

	rcu_assign_pointer(shared, new);
	synchronize_rcu();
	kfree(old);
}

TASK(0, reader)
{
	const struct element *element;
	u64 value;

	rcu_read_lock();
	element = rcu_dereference(shared);
	value = READ_ONCE(element->value);
	claim(value == 1 || value == 2, value);
	rcu_read_unlock();
}
