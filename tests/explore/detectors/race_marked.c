// SPDX-License-Identifier: MIT
/* Marked accesses never race with each other; one plain side is enough for a race. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
#include <compiler.h>
#include <pthread.h>

#ifndef BROKEN
#define BROKEN 0
#endif

int word, seen;

static void *writer(void *unused)
{
	if (BROKEN == 1)
		word = 1;
	else
		WRITE_ONCE(word, 1);
	return NULL;
}

static void *reader(void *unused)
{
	seen = BROKEN == 2 ? word : READ_ONCE(word);
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, writer, NULL);
	pthread_create(&two, NULL, reader, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
