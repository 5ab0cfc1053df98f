// SPDX-License-Identifier: MIT
/* A relaxed locked operation hands on what a release before it has published; a store does not. */
// expect: held
// expect -D BROKEN: violated data-race
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

int message, seen;
atomic_int count;

static void *sender(void *unused)
{
	message = 42;
	atomic_store_explicit(&count, 1, memory_order_release);
	return NULL;
}

static void *middle(void *unused)
{
#ifdef BROKEN
	if (atomic_load_explicit(&count, memory_order_relaxed) == 1)
		atomic_store_explicit(&count, 2, memory_order_relaxed);
#else
	int one = 1;

	atomic_compare_exchange_strong_explicit(&count, &one, 2, memory_order_relaxed,
						memory_order_relaxed);
#endif
	return NULL;
}

static void *receiver(void *unused)
{
	if (atomic_load_explicit(&count, memory_order_acquire) == 2)
		seen = message;
	return NULL;
}

int main(void)
{
	void *(*functions[])(void *) = { sender, middle, receiver };
	pthread_t threads[3];

	for (int n = 0; n < 3; n++)
		pthread_create(&threads[n], NULL, functions[n], NULL);
	for (int n = 0; n < 3; n++)
		pthread_join(threads[n], NULL);
	return 0;
}
