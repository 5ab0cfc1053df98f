// SPDX-License-Identifier: MIT
/* Two senders queue on one CPU at once: whoever finds the queue empty interrupts it. */
#include <explore.h>
#include <kernel/smp.h>

static u64 calls;

static void count(void *unused)
{
	calls++;
}

TASK(0, left)
{
	smp_call_function_single(2, count, NULL, false);
}

TASK(1, right)
{
	smp_call_function_single(2, count, NULL, false);
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	claim(calls == 2, calls);
}
