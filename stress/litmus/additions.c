// SPDX-License-Identifier: MIT
/*
 * THREADS threads add 1 to a word TIMES times, by a load and a store; nothing is
 * claimed. For testbed bench explore: what it takes to search all of it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#ifndef THREADS
#define THREADS 3
#endif
#ifndef TIMES
#define TIMES 3
#endif

static atomic_int sum;

static void *add(void *unused)
{
	for (int n = 0; n < TIMES; n++) {
		int old = atomic_load_explicit(&sum, memory_order_relaxed);

		atomic_store_explicit(&sum, old + 1, memory_order_relaxed);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];

	for (int n = 0; n < THREADS; n++)
		pthread_create(&thread[n], NULL, add, NULL);
	for (int n = 0; n < THREADS; n++)
		pthread_join(thread[n], NULL);
	return 0;
}
