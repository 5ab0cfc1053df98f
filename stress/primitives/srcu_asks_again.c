// SPDX-License-Identifier: MIT
/* Who drives for callbacks asks several times in one grace period, and not always the same CPUs. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

struct element {
	struct rcu_head head;
	u64 value;
};

DEFINE_STATIC_SRCU(domain);

static struct element *shared;
static u64 freed;

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct element, head));
	WRITE_ONCE(freed, 1);
}

static void read_element(void)
{
	u32 idx = srcu_read_lock(&domain);
	const struct element *element = srcu_dereference(shared, &domain);

	cond_resched();
	if (element)
		claim(element->value == 0, element->value);
	srcu_read_unlock(&domain, idx);
}

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	workqueue_start();
}

TASK(0, updater)
{
	struct element *old = shared;

	WRITE_ONCE(shared, NULL);
	call_srcu(&domain, &old->head, free_element);
	srcu_barrier(&domain);
	claim(READ_ONCE(freed) == 1, freed);
}

TASK(1, reader)
{
	read_element();
}

TASK(2, reader_elsewhere)
{
	read_element();
}

TASK(2, reader_after_it)
{
	read_element();
}
