// SPDX-License-Identifier: MIT
/* What is found with preemption off stays, and what an idle task has found, until it switches. */
#include <explore.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

struct element {
	u64 value;
};

static struct element *shared;

/* The third one idles all the time. */
EXPLORE_CPUS(3);

static struct element *make(u64 value)
{
	struct element *element = kmalloc(sizeof(*element), GFP_KERNEL);

	element->value = value;
	return element;
}

static void read_shared(void)
{
	const struct element *element = smp_load_acquire(&shared);
	u64 value = READ_ONCE(element->value);

	claim(value == 1 || value == 2, value);
}

INIT
{
	shared = make(1);
	set_idle_call(read_shared);
}

TASK(0, updater)
{
	struct element *old = shared;

	smp_store_release(&shared, make(2));
	synchronize_rcu_tasks_rude();
	kfree(old);
}

TASK(1, reader)
{
	preempt_disable();
	read_shared();
	preempt_enable();
}
