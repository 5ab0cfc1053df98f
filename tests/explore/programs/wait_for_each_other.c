// SPDX-License-Identifier: MIT
/* Two threads spin until the other one has said something. POLITE: one of them speaks first. */
#include "program.h"

atomic_int said[2];

static void wait_for(int thread)
{
	while (!get(said[thread]))
		;
}

static void *first(void *unused)
{
#ifdef POLITE
	set(said[0], 1);
	wait_for(1);
#else
	wait_for(1);
	set(said[0], 1);
#endif
	return NULL;
}

static void *second(void *unused)
{
	wait_for(0);
	set(said[1], 1);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ first, second });
	return 0;
}
