// SPDX-License-Identifier: MIT
/* Who stops CPUs while one of them goes down stops those that are there, or is told. */
#include <error.h>
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/stop_machine.h>

static u64 ran;

static int count(void *unused)
{
	atomic_inc(&ran);
	return 0;
}

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0, 0);
	claim(cpu_up(1) == 0, 0);
}

TASK(2, stopper)
{
	int result = stop_two_cpus(1, 2, count, NULL);

	claim(result == (ran ? 0 : -ENOENT), result, ran);
	ran = 0;
	result = stop_machine(count, NULL, 0);
	claim(result == 0 && ran == 1, result, ran);
	ran = 0;
	result = stop_one_cpu(1, count, NULL);
	claim(result == (ran ? 0 : -ENOENT), result, ran);
}
