// SPDX-License-Identifier: MIT
/* Grace periods wait for readers of a CPU that goes down, also when it is no longer online. */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu.h>
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
	claim(cpu_up(1) == 0, 0);
}

TASK(2, updater)
{
	u64 *old = shared, *new = make(2);

	rcu_assign_pointer(shared, new);
	synchronize_rcu();
	kfree(old);
}

static void read_shared(void)
{
	u64 *element, value;

	rcu_read_lock();
	element = rcu_dereference(shared);
	value = READ_ONCE(*element);
	claim(value == 1 || value == 2, value);
	rcu_read_unlock();
}

TASK(1, reader)
{
	read_shared();
}

/* At any moment until the CPU is down, and again when it is coming up. */
IRQ(1, 1, device)
{
	read_shared();
}
