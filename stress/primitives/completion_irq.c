// SPDX-License-Identifier: MIT
/* A completion that an interrupt completes, on the CPU that waits. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/smp.h>

static DECLARE_COMPLETION(done);

static void complete_here(void *unused)
{
	complete(&done);
}

TASK(0, waiter)
{
	wait_for_completion(&done);
}

TASK(1, interrupter)
{
	smp_call_function_single(0, complete_here, NULL, false);
}
