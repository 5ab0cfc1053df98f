// SPDX-License-Identifier: MIT
/*
 * Two threads store to a word each and then load the other's; nothing is claimed.
 * For testbed bench explore: what a run costs when it is as short as can be.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_int word[2];
static int seen[2];           /* each thread writes its own */

static void *left(void *unused)
{
	atomic_store_explicit(&word[0], 1, memory_order_relaxed);
	seen[0] = atomic_load_explicit(&word[1], memory_order_relaxed);
	return NULL;
}

static void *right(void *unused)
{
	atomic_store_explicit(&word[1], 1, memory_order_relaxed);
	seen[1] = atomic_load_explicit(&word[0], memory_order_relaxed);
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, left, NULL);
	pthread_create(&two, NULL, right, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
