// SPDX-License-Identifier: MIT
/* Two calls to the same CPUs, one after the other, that nobody waits for: each CPU runs both. */
#include <explore.h>
#include <kernel/smp.h>

static u32 runs[2][3];        /* of each call; each CPU writes its own */

static void count(void *info)
{
	u32 *mine = info;

	mine[smp_processor_id()]++;
}

TASK(0, sender)
{
	smp_call_function_many(cpumask_of(1) | cpumask_of(2), count, runs[0], false);
	smp_call_function_many(cpumask_of(1) | cpumask_of(2), count, runs[1], false);
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	for (u32 cpu = 1; cpu < 3; cpu++)
		claim(runs[0][cpu] == 1 && runs[1][cpu] == 1, cpu, runs[0][cpu], runs[1][cpu]);
}
