// SPDX-License-Identifier: MIT
/*
 * Two threads that each announce themselves and look for the other one: one of them sees it.
 *
 *	testbed explore stress/examples/store_buffering.c
 *	testbed explore stress/examples/store_buffering.c -D MISSING_FENCE
 *
 * A store waits in its CPU's store buffer while later loads of that CPU are
 * already answered: the one reordering that x86 has. Dekker's and Peterson's
 * locks, and every "set my flag, then look at yours", break by it. With the
 * fence, a thread goes on only when its buffer is empty.
 *
 * This is the whole form of a program with threads: what is claimed stands in
 * assert(), anywhere; main() may look at everything when all threads are joined.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int here[2];
static int seen[2];           /* each thread writes its own; main() reads after both */

static void *announce_and_look(void *number)
{
	int me = *(const int *)number;

	atomic_store_explicit(&here[me], 1, memory_order_relaxed);
#ifndef MISSING_FENCE
	/* The store above before the load below, on both sides. */
	atomic_thread_fence(memory_order_seq_cst);
#endif
	seen[me] = atomic_load_explicit(&here[1 - me], memory_order_relaxed);
	return NULL;
}

int main(void)
{
	static const int number[2] = { 0, 1 };
	pthread_t thread[2];

	for (int n = 0; n < 2; n++)
		pthread_create(&thread[n], NULL, announce_and_look, (void *)&number[n]);
	for (int n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	assert(seen[0] || seen[1]);
	return 0;
}
