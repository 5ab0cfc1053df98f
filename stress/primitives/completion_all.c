// SPDX-License-Identifier: MIT
/* All that wait go on, and those that come later; then it is to be completed anew. */
#include <explore.h>
#include <kernel/completion.h>

static DECLARE_COMPLETION(ready);
static DECLARE_COMPLETION(gone);
static u64 given;

TASK(0, first)
{
	wait_for_completion(&ready);
	claim(READ_ONCE(given) == 1, given);
	complete(&gone);
}

TASK(1, second)
{
	if (!try_wait_for_completion(&ready))
		wait_for_completion(&ready);
	claim(READ_ONCE(given) == 1, given);
	complete(&gone);
}

TASK(2, giver)
{
	WRITE_ONCE(given, 1);
	complete_all(&ready);
	wait_for_completion(&gone);
	wait_for_completion(&gone);
	claim(completion_done(&ready));
	reinit_completion(&ready);
	claim(!try_wait_for_completion(&ready));
}
