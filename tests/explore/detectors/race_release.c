// SPDX-License-Identifier: MIT
/* A message is plain; its flag is stored with release and loaded with acquire. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#ifndef BROKEN
#define BROKEN 0
#endif

int message, seen;
atomic_int flag;

static void *sender(void *unused)
{
	message = 42;
	/* BROKEN 1: nothing says that the message comes first. */
	atomic_store_explicit(&flag, 1,
			      BROKEN == 1 ? memory_order_relaxed : memory_order_release);
	return NULL;
}

static void *receiver(void *unused)
{
	/* BROKEN 2: nothing says that the message is looked at afterwards. */
	if (atomic_load_explicit(&flag, BROKEN == 2 ? memory_order_relaxed : memory_order_acquire))
		seen = message;
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
