// SPDX-License-Identifier: MIT
/* Callbacks run after a grace period, and rcu_barrier() waits for all that came before. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

struct element {
	struct rcu_head head;
	u64 value;
};

static struct element *shared;
static u64 freed;

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct element, head));
	freed++;
}

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(1, updater)
{
	struct element *old = shared;

	WRITE_ONCE(shared, NULL);
	call_rcu(&old->head, free_element);
	rcu_barrier();
	claim(freed == 1, freed);
}

static void read(void)
{
	const struct element *element;

	rcu_read_lock();
	element = rcu_dereference(shared);
	if (element)
		claim(READ_ONCE(element->value) == 0, element->value);
	rcu_read_unlock();
}

TASK(2, reader)
{
	read();
}

/* The task that sees to callbacks may take the CPU from it. */
TASK(0, preempted)
{
	read();
}
