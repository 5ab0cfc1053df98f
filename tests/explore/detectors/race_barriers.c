// SPDX-License-Identifier: MIT
/* A message is plain; its flag is marked, with a barrier on each side. */
// expect: held
// expect -D BROKEN=1: violated data-race
// expect -D BROKEN=2: violated data-race
// expect -D BROKEN=3: violated data-race
#include <compiler.h>
#include <pthread.h>

#ifndef BROKEN
#define BROKEN 0
#endif

int message, seen, flag;

static void *sender(void *unused)
{
	message = 42;
	if (BROKEN != 1)
		smp_wmb(); /* The message before the flag; pairs with smp_rmb() in receiver(). */
	WRITE_ONCE(flag, 1);
	if (BROKEN == 3) {
		smp_wmb();
		message = 43;
	}
	return NULL;
}

static void *receiver(void *unused)
{
	if (!READ_ONCE(flag))
		return NULL;
	if (BROKEN != 2)
		smp_rmb(); /* The flag before the message; pairs with smp_wmb() in sender(). */
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
