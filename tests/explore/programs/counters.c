// SPDX-License-Identifier: MIT
/* THREADS threads add 1 to a counter TIMES times, by a load and a store. */
#include "program.h"

#ifndef THREADS
#define THREADS 3
#endif
#ifndef TIMES
#define TIMES 2
#endif

static atomic_int counter;

static void *adder(void *number)
{
	for (int n = 0; n < TIMES; n++) {
		int old = get(counter);

		set(counter, old + 1);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];

	for (int n = 0; n < THREADS; n++)
		pthread_create(&thread[n], NULL, adder, NULL);
	for (int n = 0; n < THREADS; n++)
		pthread_join(thread[n], NULL);
	return 0;
}
