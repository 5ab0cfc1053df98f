// SPDX-License-Identifier: MIT
/* An acquire load that its own store buffer answers has read from nobody else. */
// expect: held
// expect -D BROKEN: violated data-race
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#ifdef BROKEN
#define AWAITED 3
#else
#define AWAITED 2
#endif

int message;
atomic_int flag;

static void *sender(void *unused)
{
	message = 1;
	atomic_store_explicit(&flag, 2, memory_order_release);
	return NULL;
}

static void *receiver(void *unused)
{
	atomic_store_explicit(&flag, 3, memory_order_relaxed);
	if (atomic_load_explicit(&flag, memory_order_acquire) == AWAITED)
		message = 2;
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, sender, NULL);
	pthread_create(&two, NULL, receiver, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
