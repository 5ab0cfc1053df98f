// SPDX-License-Identifier: MIT
/*
 * Treiber's stack of numbered elements: 1, 2, 3, and 0 is its end. One thread
 * pops; the other one pops twice and pushes its first element again, so that the
 * first thread's comparison can succeed with a next element that is taken.
 */
#include "program.h"

#define ELEMENTS 3

static atomic_int head, next[ELEMENTS + 1], owners[ELEMENTS + 1];

static int pop(void)
{
	for (;;) {
		int top = atomic_load(&head), below;

		if (!top)
			return 0;
		below = atomic_load(&next[top]);
		if (atomic_compare_exchange_strong(&head, &top, below)) {
			int others = atomic_fetch_add(&owners[top], 1);

			claim(others == 0);
			return top;
		}
	}
}

static void push(int element)
{
	atomic_fetch_sub(&owners[element], 1);
	for (;;) {
		int top = atomic_load(&head);

		atomic_store(&next[element], top);
		if (atomic_compare_exchange_strong(&head, &top, element))
			return;
	}
}

static void *popper(void *number)
{
	pop();
	return NULL;
}

static void *recycler(void *number)
{
	int first = pop();

	pop();
	if (first)
		push(first);
	return NULL;
}

int main(void)
{
	int element;

	for (element = 0; element < ELEMENTS; element++)
		atomic_store(element ? &next[element] : &head, element + 1);
	atomic_store(&next[ELEMENTS], 0);
	run_all(2, (body *const[]){ popper, recycler });
	/* What is left in the stack is nobody's. */
	element = atomic_load(&head);
	for (int n = 0; n < ELEMENTS && element; n++) {
		int others = atomic_load(&owners[element]);

		claim(others == 0);
		element = atomic_load(&next[element]);
	}
	return 0;
}
