// SPDX-License-Identifier: MIT
/* A section of SRCU that may move keeps no CPU up: it is waited for while its CPU is down. */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

DEFINE_STATIC_SRCU(domain);

static u64 *shared;

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0, 0);
	claim(cpu_up(1) == 0, 0);
}

TASK(1, reader)
{
	u32 idx = srcu_down_read(&domain);
	const u64 *value = srcu_dereference(shared, &domain);

	cond_park();
	if (value)
		claim(*value == 0, *value);
	srcu_up_read(&domain, idx);
}

TASK(2, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_srcu(&domain);
	kfree(old);
}
