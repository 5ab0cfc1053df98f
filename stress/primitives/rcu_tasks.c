// SPDX-License-Identifier: MIT
/* What a task has found stays until it switches by itself, though it is preempted meanwhile. */
#include <explore.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
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

TASK(0, updater)
{
	struct element *old = shared, *new = make(2);

	smp_store_release(&shared, new);
	synchronize_rcu_tasks();
	kfree(old);
}

/* A timer may take the CPU from it, and give it to the other one. */
TASK(1, reader)
{
	const struct element *element = smp_load_acquire(&shared);
	u64 value = READ_ONCE(element->value);

	claim(value == 1 || value == 2, value);
	/* Its stack stays as it is for ever. */
	rcu_tasks_wait_begin();
}

TASK(1, other)
{
	yield();
	rcu_tasks_wait_begin();
}
