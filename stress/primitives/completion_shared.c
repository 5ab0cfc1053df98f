// SPDX-License-Identifier: MIT
/* Two wait for one completion each of the same object; nobody is forgotten. */
#include <explore.h>
#include <kernel/completion.h>

static DECLARE_COMPLETION(ready);
static u64 given, taken[2];

TASK(0, first)
{
	wait_for_completion(&ready);
	taken[0] = READ_ONCE(given);
}

TASK(1, second)
{
	wait_for_completion(&ready);
	taken[1] = READ_ONCE(given);
}

TASK(2, giver)
{
	WRITE_ONCE(given, 1);
	complete(&ready);
	complete(&ready);
}

FINAL_CHECK
{
	claim(taken[0] == 1 && taken[1] == 1, taken[0], taken[1]);
}
