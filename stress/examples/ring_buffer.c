// SPDX-License-Identifier: MIT
/*
 * A ring of slots from one producer to one consumer: what is taken is what was put.
 *
 *	testbed explore stress/examples/ring_buffer.c
 *	testbed explore stress/examples/ring_buffer.c -D MISSING_RELEASE
 *	testbed explore stress/examples/ring_buffer.c -D MISSING_ACQUIRE
 *	testbed explore stress/examples/ring_buffer.c -D MISSING_SPACE
 *
 * The slots are plain memory; what makes that right are two indices. The producer
 * fills a slot and then releases `head`; the consumer acquires `head` and then
 * reads. The same with `tail` lets the producer use a slot again.
 *
 * Without release or acquire no run on x86 goes wrong: the processor keeps
 * stores in order, and loads. But the compiler need not, and other processors do
 * not, so it is a data race, and that is what is reported: a plain store and a
 * plain load of a slot that nothing orders. MISSING_SPACE is wrong on any
 * machine: the producer does not look whether the slot is free. It shows as a
 * race, too; with --no-races, as a wrong item.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define SLOTS 2
#define ITEMS 3
#define TRIES 4               /* of the consumer; it may come too early */

#ifdef MISSING_RELEASE
#define FILLED memory_order_relaxed
#else
#define FILLED memory_order_release /* the slot before head; pairs with SEEN */
#endif
#ifdef MISSING_ACQUIRE
#define SEEN memory_order_relaxed
#else
#define SEEN memory_order_acquire /* head before the slot; pairs with FILLED */
#endif

static int slot[SLOTS];
static atomic_uint head;      /* items put; the producer writes */
static atomic_uint tail;      /* items taken; the consumer writes */

static bool is_full(unsigned int put)
{
#ifdef MISSING_SPACE
	return false;
#else
	/* The consumer's last look at the slot is over; pairs with the release in take(). */
	return put - atomic_load_explicit(&tail, memory_order_acquire) == SLOTS;
#endif
}

static bool put(int item)
{
	unsigned int place = atomic_load_explicit(&head, memory_order_relaxed);

	if (is_full(place))
		return false;
	slot[place % SLOTS] = item;
	atomic_store_explicit(&head, place + 1, FILLED);
	return true;
}

static bool take(int *item)
{
	unsigned int place = atomic_load_explicit(&tail, memory_order_relaxed);

	if (place == atomic_load_explicit(&head, SEEN))
		return false;
	*item = slot[place % SLOTS];
	atomic_store_explicit(&tail, place + 1, memory_order_release);
	return true;
}

static void *producer(void *unused)
{
	int item = 1;

	/* What does not fit is lost; nobody waits here. */
	while (item <= ITEMS && put(item))
		item++;
	return NULL;
}

static void *consumer(void *unused)
{
	int expected = 1;

	for (int n = 0; n < TRIES; n++) {
		int item;

		if (take(&item))
			assert(item == expected++);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[2];

	pthread_create(&thread[0], NULL, producer, NULL);
	pthread_create(&thread[1], NULL, consumer, NULL);
	for (int n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	return 0;
}
