// SPDX-License-Identifier: MIT
/* A cross call to a CPU that has nothing to do raises a softirq there, which runs at once. */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/softirq.h>

static u32 runs;

static void action(void)
{
	runs++;
}

static void raise_one(void *unused)
{
	raise_softirq(TASKLET_SOFTIRQ);
}

INIT
{
	open_softirq(TASKLET_SOFTIRQ, action);
}

TASK(0, caller)
{
	smp_call_function_single(1, raise_one, NULL, false);
}

EXPLORE_CPUS(2);

FINAL_CHECK
{
	claim(runs == 1, runs);
}
