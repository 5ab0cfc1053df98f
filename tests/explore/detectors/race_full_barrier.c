// SPDX-License-Identifier: MIT
/* smp_mb() orders what is before it and after it, on both sides of a message. */
// expect: held
// expect -D BROKEN: violated data-race
#include <compiler.h>
#include <pthread.h>

int message, seen, flag;

static void *sender(void *unused)
{
	message = 42;
#ifndef BROKEN
	smp_mb(); /* The message before the flag; pairs with smp_mb() in receiver(). */
#endif
	WRITE_ONCE(flag, 1);
	return NULL;
}

static void *receiver(void *unused)
{
	if (!READ_ONCE(flag))
		return NULL;
	smp_mb(); /* The flag before the message; pairs with smp_mb() in sender(). */
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
