// SPDX-License-Identifier: MIT
/* Two CPUs are stopped while all are: whoever comes second waits for all of the first. */
#include <explore.h>
#include <kernel/stop_machine.h>

static u64 stops;

static int count(void *unused)
{
	return atomic_inc((u32 *)&stops), 0;
}

TASK(0, all)
{
	claim(stop_machine(count, NULL, 0) == 0, 0);
}

TASK(2, two)
{
	claim(stop_two_cpus(1, 2, count, NULL) == 0, 1);
}

FINAL_CHECK
{
	claim(stops == 2, stops);
}
