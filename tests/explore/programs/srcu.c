// SPDX-License-Identifier: MIT
/*
 * SRCU with two counters for each phase: READERS readers and one grace period,
 * whose waiting is one look that must succeed. A reader that sees what was done
 * after the grace period sees what was done before it.
 * -D MISSING_B: without barrier B.
 */
#include "program.h"

#ifndef READERS
#define READERS 2
#endif

static atomic_int idx, locks[2][READERS], unlocks[2][READERS];
static atomic_int before, after;

static void *reader(void *number)
{
	int me = (int)(long)number, phase = get(idx) & 1, seen_before, seen_after;

	set(locks[phase][me], get(locks[phase][me]) + 1);
#ifndef MISSING_B
	fence(); /* B */
#endif
	seen_before = get(before);
	seen_after = get(after);
	fence(); /* C */
	set(unlocks[phase][me], get(unlocks[phase][me]) + 1);
	claim(seen_before || !seen_after);
	return NULL;
}

static void wait_for_phase(int phase)
{
	int left = 0, entered = 0;

	for (int n = 0; n < READERS; n++)
		left += get(unlocks[phase][n]);
	fence(); /* A */
	for (int n = 0; n < READERS; n++)
		entered += get(locks[phase][n]);
	assume(left == entered);
}

static void *updater(void *number)
{
	int phase;

	set(before, 1);
	fence();
	phase = get(idx) & 1;
	wait_for_phase(phase ^ 1);
	fence(); /* E */
	set(idx, get(idx) + 1);
	fence(); /* D */
	wait_for_phase(phase);
	fence();
	set(after, 1);
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
