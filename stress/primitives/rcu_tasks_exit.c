// SPDX-License-Identifier: MIT
/* A task that ends is a reader until it is gone; then no grace period waits for it or its slot. */
#include <explore.h>
#include <kernel/kthread.h>
#include <kernel/rcu_tasks.h>
#include <kernel/slab.h>

static u64 *shared;

static u64 *make(u64 value)
{
	u64 *element = kmalloc(sizeof(*element), GFP_KERNEL);

	*element = value;
	return element;
}

INIT
{
	shared = make(1);
}

TASK(0, updater)
{
	u64 *old = shared, *new = make(2);

	smp_store_release(&shared, new);
	synchronize_rcu_tasks();
	kfree(old);
}

static s64 reads(void *unused)
{
	const u64 *element = smp_load_acquire(&shared);
	u64 value = READ_ONCE(*element);

	claim(value == 1 || value == 2, value);
	return 0;
}

/* The second one may get the slot of the first, also while a grace period runs. */
TASK(1, parent)
{
	claim(kthread_run(1, reads, NULL, "first"), 0);
	cond_resched_tasks_rcu_qs();
	claim(kthread_run(1, reads, NULL, "second"), 0);
	rcu_tasks_wait_begin();
}
