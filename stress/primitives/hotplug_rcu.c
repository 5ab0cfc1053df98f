// SPDX-License-Identifier: MIT
/* Grace periods wait for readers of a CPU that goes down, or has come up. */
#include <error.h>
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/stop_machine.h>

static u64 *shared;

static u64 *make(u64 value)
{
	u64 *element = kmalloc(sizeof(*element), GFP_KERNEL);

	*element = value;
	return element;
}

static int read_shared(void *unused)
{
	u64 *element, value;

	rcu_read_lock();
	element = rcu_dereference(shared);
	value = READ_ONCE(*element);
	claim(value == 1 || value == 2, value);
	rcu_read_unlock();
	return 0;
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

TASK(1, reader)
{
	read_shared(NULL);
	cond_park();
	read_shared(NULL);
}

/* Its stopper still does it when it is no longer online. */
TASK(2, visitor)
{
	int result = stop_one_cpu(1, read_shared, NULL);

	claim(result == 0 || result == -ENOENT, result);
}

TASK(2, updater)
{
	u64 *old = shared, *new = make(2);

	rcu_assign_pointer(shared, new);
	synchronize_rcu();
	kfree(old);
}
