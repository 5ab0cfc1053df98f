// SPDX-License-Identifier: MIT
/* Calls that nobody waits for: each is made once, and a function may use its own call again. */
#include <error.h>
#include <explore.h>
#include <kernel/smp.h>

static struct call_single_data again;
static u64 calls, repeated;

static void count(void *info)
{
	(*(u64 *)info)++;
}

static void repeat(void *info)
{
	if (repeated++)
		return;
	claim(smp_call_function_single_async(1, &again) == 0, repeated);
}

TASK(0, sender)
{
	again.func = repeat;
	smp_call_function_single_async(1, &again);
	smp_call_function_single(1, count, &calls, false);
	smp_call_function_single(1, count, &calls, false);
}

EXPLORE_CPUS(2);

FINAL_CHECK
{
	claim(calls == 2 && repeated == 2, calls, repeated);
}
