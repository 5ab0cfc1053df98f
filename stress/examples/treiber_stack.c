// SPDX-License-Identifier: MIT
/*
 * A stack without a lock, whose elements are used again: nobody pops what somebody else has.
 *
 *	testbed explore stress/examples/treiber_stack.c
 *	testbed explore stress/examples/treiber_stack.c -D MISSING_GENERATION
 *
 * Treiber's stack (1986). pop() reads the top element and the one below it, and
 * makes that one the top if the top is still the same. It may be the same again:
 * another thread has popped it, and one more, and pushed it back. Then the
 * comparison succeeds (A, B, A), and the top becomes an element that is in use.
 * The right form keeps a generation beside the number of the top element; each
 * change makes a new one, so an old top is never taken for the present one.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ELEMENTS 3            /* 1, 2 and 3; 0 is the end of the stack */

#define ELEMENT(top) ((uint32_t)(top))
#ifdef MISSING_GENERATION
#define NEW_TOP(top, element) ((uint64_t)(element))
#else
#define NEW_TOP(top, element) ((((top) >> 32) + 1) << 32 | (element))
#endif

static _Atomic uint64_t head = 1; /* generation << 32 | number of the top element */
static _Atomic uint32_t below[ELEMENTS + 1] = { 0, 2, 3, 0 };
static atomic_int users[ELEMENTS + 1];

static uint32_t pop(void)
{
	uint64_t top = atomic_load(&head);

	while (ELEMENT(top)) {
		uint32_t next = atomic_load(&below[ELEMENT(top)]);

		if (atomic_compare_exchange_strong(&head, &top, NEW_TOP(top, next))) {
			int others = atomic_fetch_add(&users[ELEMENT(top)], 1);

			assert(others == 0);
			return ELEMENT(top);
		}
	}
	return 0;
}

static void push(uint32_t element)
{
	uint64_t top = atomic_load(&head);

	atomic_fetch_sub(&users[element], 1);
	do {
		atomic_store(&below[element], ELEMENT(top));
	} while (!atomic_compare_exchange_strong(&head, &top, NEW_TOP(top, element)));
}

static void *pop_twice(void *unused)
{
	pop();
	pop();
	return NULL;
}

static void *recycle(void *unused)
{
	uint32_t first = pop();

	pop();
	if (first)
		push(first);
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	pthread_create(&thread[0], NULL, pop_twice, NULL);
	pthread_create(&thread[1], NULL, recycle, NULL);
	for (int n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	return 0;
}
