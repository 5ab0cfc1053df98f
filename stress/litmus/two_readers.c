// SPDX-License-Identifier: MIT
/*
 * SRCU's two counters for each phase, two readers and one grace period, whose
 * waiting is a single look that must succeed. Who sees what was stored after the
 * grace period has seen what was stored before it. For testbed bench explore.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define READERS 2

void __VERIFIER_assume(int condition);

static atomic_int phase, entered[2][READERS], left[2][READERS], first, second;

static int get(atomic_int *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(atomic_int *word, int value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static void fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static void *reader(void *argument)
{
	int me = (int)(long)argument, mine = get(&phase) & 1, seen_first, seen_second;

	set(&entered[mine][me], get(&entered[mine][me]) + 1);
	fence(); /* B: entered before what is read. */
	seen_first = get(&first);
	seen_second = get(&second);
	fence(); /* C: what is read before left. */
	set(&left[mine][me], get(&left[mine][me]) + 1);
	assert(seen_first || !seen_second);
	return NULL;
}

static void wait_for(int which)
{
	int out = 0, in = 0;

	for (int n = 0; n < READERS; n++)
		out += get(&left[which][n]);
	fence(); /* A: left before entered. */
	for (int n = 0; n < READERS; n++)
		in += get(&entered[which][n]);
	__VERIFIER_assume(out == in);
}

static void *updater(void *unused)
{
	int old;

	set(&first, 1);
	fence();
	old = get(&phase) & 1;
	wait_for(old ^ 1);
	fence(); /* E: the scan above before the flip. */
	set(&phase, get(&phase) + 1);
	fence(); /* D: the flip before the scan below. */
	wait_for(old);
	fence();
	set(&second, 1);
	return NULL;
}

int main(void)
{
	pthread_t thread[READERS + 1];

	pthread_create(&thread[READERS], NULL, updater, NULL);
	for (long n = 0; n < READERS; n++)
		pthread_create(&thread[n], NULL, reader, (void *)n);
	for (int n = 0; n <= READERS; n++)
		pthread_join(thread[n], NULL);
	return 0;
}
