// SPDX-License-Identifier: MIT
/* memcpy() and strcpy() are accesses of their caller. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
#include <assert.h>
#include <pthread.h>
#include <string.h>

#ifndef BROKEN
#define BROKEN 0
#endif

char text[32], copy[32];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *writer(void *unused)
{
	if (BROKEN != 1)
		pthread_mutex_lock(&lock);
	memcpy(text, "a text of some length", 22);
	if (BROKEN != 1)
		pthread_mutex_unlock(&lock);
	return NULL;
}

static void *reader(void *unused)
{
	if (BROKEN != 2)
		pthread_mutex_lock(&lock);
	strcpy(copy, text);
	if (BROKEN != 2)
		pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, writer, NULL);
	pthread_create(&two, NULL, reader, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	assert(strlen(copy) == 21 || !copy[0] || BROKEN);
	return 0;
}
