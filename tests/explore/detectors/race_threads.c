// SPDX-License-Identifier: MIT
/* Making a thread and joining it order what is plain. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
#include <assert.h>
#include <pthread.h>
#include <stddef.h>

#ifndef BROKEN
#define BROKEN 0
#endif

int argument, result;

static void *doubler(void *unused)
{
	result = 2 * argument;
	return NULL;
}

int main(void)
{
	pthread_t thread;

	argument = 21;
	pthread_create(&thread, NULL, doubler, NULL);
	if (BROKEN == 1)
		argument = 22;
	if (BROKEN == 2)
		return result == 1;
	pthread_join(thread, NULL);
	assert(BROKEN || result == 42);
	return 0;
}
