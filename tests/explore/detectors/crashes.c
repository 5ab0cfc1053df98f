// SPDX-License-Identifier: MIT
/* What the processor refuses, and what never ends. */
// expect: held
// expect -D READ: violated crash
// expect -D WRITE: violated crash
// expect -D WILD: violated crash
// expect -D JUMP: violated crash
// expect -D DIVIDE: violated crash
// expect -D CONSTANT: violated crash
// expect -D OVERFLOW: violated crash
// expect -D ABORT: violated crash
// expect -D EXIT: violated claim
// expect -D ENDLESS: violated no-progress
#include <pthread.h>
#include <stdlib.h>

int *pointer, zero;
void (*function)(void);
const int constant = 1;

static __attribute__((noinline)) int deeper(int n)
{
	volatile char room[512];

	room[n % 512] = n;
	return deeper(n + 1) + room[n % 512];
}

static void *thread(void *unused)
{
#if defined(READ)
	return (void *)(long)*pointer;
#elif defined(WRITE)
	*pointer = 1;
#elif defined(WILD)
	*(int *)0xdead000000000000UL = 1;
#elif defined(JUMP)
	function();
#elif defined(DIVIDE)
	return (void *)(long)(100 / zero);
#elif defined(CONSTANT)
	*(int *)&constant = 2;
#elif defined(OVERFLOW)
	return (void *)(long)deeper(0);
#elif defined(ABORT)
	abort();
#elif defined(EXIT)
	exit(3);
#elif defined(ENDLESS)
	for (;;)
		__asm__ volatile("");
#endif
	return NULL;
}

int main(void)
{
	pthread_t one;

	pthread_create(&one, NULL, thread, NULL);
	pthread_join(one, NULL);
	return 0;
}
