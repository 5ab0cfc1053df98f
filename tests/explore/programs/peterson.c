// SPDX-License-Identifier: MIT
/* Peterson's lock, taken once by each thread; waiting is one look that must succeed. */
/* -D FENCE: with the fence that x86 needs. */
#include "program.h"

static atomic_int wants[2], turn, inside;

static void enter_and_leave(int me)
{
	int other = 1 - me;

	set(wants[me], 1);
	set(turn, other);
#ifdef FENCE
	fence();
#endif
	assume(!(get(wants[other]) == 1 && get(turn) == other));
	set(inside, me);
	claim(get(inside) == me);
	set(wants[me], 0);
}

static void *contender(void *number)
{
	enter_and_leave((int)(long)number);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ contender, contender });
	return 0;
}
