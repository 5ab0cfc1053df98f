// SPDX-License-Identifier: MIT
/* Callbacks of SRCU run after a grace period, and srcu_barrier() waits for those of all CPUs. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

struct element {
	struct rcu_head head;
	u64 value;
};

DEFINE_STATIC_SRCU(domain);

static struct element *shared[2];
static u64 freed;
static u64 queued;            /* by the other CPU */

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct element, head));
	atomic_inc(&freed);
}

static void remove(u32 n)
{
	struct element *old = shared[n];

	WRITE_ONCE(shared[n], NULL);
	call_srcu(&domain, &old->head, free_element);
}

INIT
{
	for (u32 n = 0; n < 2; n++)
		shared[n] = kzalloc(sizeof(*shared[n]), GFP_KERNEL);
	workqueue_start();
}

TASK(0, first)
{
	/* The worker here has to wait until the other one can know. */
	preempt_disable();
	remove(0);
	smp_store_release(&queued, 1);
	preempt_enable();
}

TASK(2, reader)
{
	u32 idx = srcu_read_lock(&domain);
	const struct element *element = srcu_dereference(shared[1], &domain);

	if (element)
		claim(element->value == 0, element->value);
	srcu_read_unlock(&domain, idx);
}

TASK(1, second)
{
	u64 before = smp_load_acquire(&queued), after;

	remove(1);
	srcu_barrier(&domain);
	after = READ_ONCE(freed);
	claim(after >= 1 + before, after, before);
}

FINAL_CHECK
{
	claim(freed == 2, freed);
}
