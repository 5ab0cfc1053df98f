// SPDX-License-Identifier: MIT
/* Each thread has thread-local variables of its own, which others reach by address alone. */
// expect: held
// expect -D GIVEN_AWAY: violated data-race
// expect -D AFTER_THE_END: violated use-after-free
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

static _Thread_local int count = 5;
static __thread long zero;
static _Thread_local struct {
	char name[100];
	int *block;
} __attribute__((aligned(128))) wide;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int total;
static _Atomic(int *) place;

static void *add(void *argument)
{
	long number = (long)argument;

	assert(count == 5 && zero == 0 && !wide.block && (uintptr_t)&wide % 128 == 0);
	for (int n = 0; n < 2; n++) {
		count++;
		zero += number;
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
	}
	assert(count == 7 && zero == 2 * number);
#ifdef GIVEN_AWAY
	*atomic_load(&place) = 1;
#endif
#ifdef AFTER_THE_END
	atomic_store(&place, &count);
#endif
	return NULL;
}

int main(void)
{
	pthread_t threads[2];

	count = 100;
	wide.block = malloc(sizeof(*wide.block));
	atomic_store(&place, &count);
	for (long n = 0; n < 2; n++)
		pthread_create(&threads[n], NULL, add, (void *)(n + 1));
#ifdef GIVEN_AWAY
	count = 100;
#endif
	for (int n = 0; n < 2; n++)
		pthread_join(threads[n], NULL);
	assert(count == 100 && total == 4);
	return *atomic_load(&place) != 100;
}
