// SPDX-License-Identifier: MIT
/* Three philosophers take the fork to their left, then the one to their right. */
/* -D FIXED: the fork of the lower number first. */
#include "program.h"

#define SEATS 3

static pthread_mutex_t forks[SEATS];

static void *philosopher(void *number)
{
	int first = (int)(long)number, second = (first + 1) % SEATS;

#ifdef FIXED
	if (first > second) {
		int lower = second;

		second = first;
		first = lower;
	}
#endif
	pthread_mutex_lock(&forks[first]);
	pthread_mutex_lock(&forks[second]);
	pthread_mutex_unlock(&forks[second]);
	pthread_mutex_unlock(&forks[first]);
	return NULL;
}

int main(void)
{
	for (int n = 0; n < SEATS; n++)
		pthread_mutex_init(&forks[n], NULL);
	run_all(SEATS, (body *const[]){ philosopher, philosopher, philosopher });
	return 0;
}
