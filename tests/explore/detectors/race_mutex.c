// SPDX-License-Identifier: MIT
/* A plain counter under a mutex. */
// expect: held
// expect -D BROKEN: violated data-race
#include <assert.h>
#include <pthread.h>
#include <stddef.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
int counter;

static void *adder(void *unlocked)
{
	if (!unlocked)
		pthread_mutex_lock(&lock);
	counter++;
	if (!unlocked)
		pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	pthread_t one, two;
	void *unlocked = NULL;

#ifdef BROKEN
	unlocked = &counter;
#endif
	pthread_create(&one, NULL, adder, NULL);
	pthread_create(&two, NULL, adder, unlocked);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	assert(counter == 2);
	return 0;
}
