// SPDX-License-Identifier: MIT
/* Each thread stores to one word and loads the other one. -D FENCE: with a fence between. */
#include "program.h"

static atomic_int x, y;
static int seen[2];

static void between(void)
{
#ifdef FENCE
	fence();
#endif
}

static void *first(void *number)
{
	set(x, 1);
	between();
	seen[0] = get(y);
	return NULL;
}

static void *second(void *number)
{
	set(y, 1);
	between();
	seen[1] = get(x);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ first, second });
	claim(seen[0] || seen[1]);
	return 0;
}
