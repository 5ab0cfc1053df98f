// SPDX-License-Identifier: MIT
/* A callback that is queued while a grace period is under way waits for the next one. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

struct element {
	struct rcu_head head;
	u64 value;
};

DEFINE_STATIC_SRCU(domain);

static struct element *shared;
static u32 held;              /* 1 = the first grace period has a reader to wait for */
static u32 entered;           /* 1 = one has come since, for whom it does not wait */
static u32 over;              /* 1 = the first grace period is over */

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct element, head));
}

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
	workqueue_start();
}

TASK(0, remover)
{
	u32 idx = srcu_read_lock(&domain);
	struct element *old = shared;

	smp_store_release(&held, 1);
	while (!smp_load_acquire(&entered))
		machine_spin_while(&entered, 0);
	WRITE_ONCE(shared, NULL);
	call_srcu(&domain, &old->head, free_element);
	srcu_read_unlock(&domain, idx);
}

TASK(1, updater)
{
	while (!smp_load_acquire(&held))
		machine_spin_while(&held, 0);
	synchronize_srcu(&domain);
	smp_store_release(&over, 1);
}

TASK(2, reader)
{
	const struct element *element;
	u32 idx;

	/* The phase is another one while the remover is waited for. */
	while (!READ_ONCE(domain.idx))
		machine_spin_while(&domain.idx, 0);
	idx = srcu_read_lock(&domain);
	element = srcu_dereference(shared, &domain);
	smp_store_release(&entered, 1);
	while (!smp_load_acquire(&over))
		machine_spin_while(&over, 0);
	claim(element->value == 0, element->value);
	srcu_read_unlock(&domain, idx);
}
