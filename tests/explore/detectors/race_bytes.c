// SPDX-License-Identifier: MIT
/* Neighbours in one word do not race; an access that is wide enough to meet both does. */
// expect: held
// expect -D BROKEN: violated data-race
#include <pthread.h>
#include <stddef.h>

union {
	unsigned char byte[8];
	unsigned short pair[4];
} word;

static void *first(void *unused)
{
	word.byte[2] = 1;
	return NULL;
}

static void *second(void *unused)
{
#ifdef BROKEN
	word.pair[1] = 2;
#else
	word.byte[3] = 2;
#endif
	return NULL;
}

int main(void)
{
	pthread_t one, two;

	pthread_create(&one, NULL, first, NULL);
	pthread_create(&two, NULL, second, NULL);
	pthread_join(one, NULL);
	pthread_join(two, NULL);
	return 0;
}
