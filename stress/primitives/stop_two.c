// SPDX-License-Identifier: MIT
/* Two CPUs are stopped while all are: whoever comes second waits for all of the first. */
#include <explore.h>
#include <kernel/stop_machine.h>

static u32 stops;

static int count(void *unused)
{
	atomic_inc(&stops);
	return 0;
}

TASK(0, all)
{
	int result = stop_machine(count, NULL, 0);

	claim(result == 0, result);
}

TASK(1, two)
{
	int result = stop_two_cpus(1, 2, count, NULL);

	claim(result == 0, result);
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	claim(stops == 2, stops);
}
