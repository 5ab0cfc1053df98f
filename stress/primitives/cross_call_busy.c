// SPDX-License-Identifier: MIT
/* A call that is still under way is refused, and may be sent again when it has been taken. */
#include <error.h>
#include <explore.h>
#include <kernel/smp.h>

static struct call_single_data call;
static u64 runs, sent;

static void count(void *unused)
{
	runs++;
}

INIT
{
	call.func = count;
}

TASK(0, sender)
{
	for (u32 n = 0; n < 2; n++) {
		int error = smp_call_function_single_async(1, &call);

		claim(!error || error == -EBUSY, error);
		sent += !error;
	}
}

EXPLORE_CPUS(2);

FINAL_CHECK
{
	claim(sent && runs == sent, runs, sent);
}
