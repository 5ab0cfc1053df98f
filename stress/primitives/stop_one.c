// SPDX-License-Identifier: MIT
/* Work for one CPU's stopper from two CPUs: it does each, and sleeps in between. */
#include <explore.h>
#include <kernel/stop_machine.h>

static int where(void *unused)
{
	return smp_processor_id() + 1;
}

TASK(0, left)
{
	int result = stop_one_cpu(1, where, NULL);

	claim(result == 2, result);
}

TASK(2, right)
{
	int result = stop_one_cpu(1, where, NULL);

	claim(result == 2, result);
}
