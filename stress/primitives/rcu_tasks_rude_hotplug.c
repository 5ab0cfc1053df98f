// SPDX-License-Identifier: MIT
/* What an NMI has found stays until it ends, also on a CPU that is about to be down. */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu_tasks_rude.h>
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
	claim(cpuhp_threads_init() == 0, 0);
	shared = make(1);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0, 0);
}

/* While the other one waits for the CPU, it may run. */
TASK(0, updater)
{
	u64 *old = shared, *new = make(2);

	smp_store_release(&shared, new);
	synchronize_rcu_tasks_rude();
	kfree(old);
}

NMI(1, 1, reader)
{
	const u64 *element = smp_load_acquire(&shared);
	u64 value = READ_ONCE(*element);

	claim(value == 1 || value == 2, value);
}
