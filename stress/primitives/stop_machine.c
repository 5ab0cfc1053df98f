// SPDX-License-Identifier: MIT
/* While a function runs under stop_machine() nobody else does anything, interrupts included. */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/stop_machine.h>

static u64 even;              /* odd only while all are stopped */

static void look(void *unused)
{
	claim(!(READ_ONCE(even) & 1), even);
}

static int change(void *unused)
{
	WRITE_ONCE(even, even + 1);
	WRITE_ONCE(even, even + 1);
	return 7;
}

TASK(0, stopper)
{
	int result = stop_machine(change, NULL, 0);

	claim(result == 7 && even == 2, result, even);
}

TASK(1, caller)
{
	smp_call_function_single(0, look, NULL, false);
	look(NULL);
}
