// SPDX-License-Identifier: MIT
/* A CPU goes down and stays there: nobody waits for it, and what it has taken on is done. */
#include <error.h>
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/rcu.h>
#include <kernel/smp.h>
#include <kernel/stop_machine.h>

static u64 ran;

static int count(void *unused)
{
	atomic_inc(&ran);
	return 0;
}

static void wait_for_all(void)
{
	int result = stop_one_cpu(1, count, NULL);

	claim(result == (ran ? 0 : -ENOENT), result, ran);
	synchronize_rcu();
}

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0 && !cpu_online(1), 0);
}

TASK(2, other)
{
	wait_for_all();
}

FINAL_CHECK
{
	claim(online_mask() == (cpumask_of(0) | cpumask_of(2)), online_mask());
}
