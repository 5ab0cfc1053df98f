// SPDX-License-Identifier: MIT
/* Peterson's lock, whose waiting is a loop. -D FENCE: with the fence that x86 needs. */
#include "program.h"

static atomic_int wants[2], turn, inside;

static void *contender(void *number)
{
	int me = (int)(long)number, other = 1 - me;

	set(wants[me], 1);
	set(turn, other);
#ifdef FENCE
	fence();
#endif
	while (get(wants[other]) == 1 && get(turn) == other)
		;
	set(inside, me);
	claim(get(inside) == me);
	set(wants[me], 0);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ contender, contender });
	return 0;
}
