// SPDX-License-Identifier: MIT
/* Threads that take a lock which is one word. FORGOTTEN: one of them does not give it back. */
#include "program.h"

static atomic_int word;
static int taken;

static void *take(void *unused)
{
	while (atomic_exchange(&word, 1)) {
		while (get(word))
			;
	}
	taken++;
#ifdef FORGOTTEN
	if (taken == 1)
		return NULL;
#endif
	atomic_store_explicit(&word, 0, memory_order_release);
	return NULL;
}

int main(void)
{
	run_all(2, (body *const[]){ take, take });
	claim(taken == 2);
	return 0;
}
