// SPDX-License-Identifier: MIT
/* A program that ends, or does not, in one of many ways. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int x;

static void *set(void *unused)
{
	__atomic_store_n(&x, 1, __ATOMIC_RELAXED);
#ifdef ENDLESS
	for (;;)
		;
#endif
#ifdef ENDLESS_PRIVATE
	for (volatile int own = 0; ; own++)
		;
#endif
#ifdef ENDLESS_SOMETIMES
	if (!__atomic_exchange_n(&x, 2, __ATOMIC_SEQ_CST))
		return NULL;
	for (;;)
		;
#endif
	return NULL;
}

static int descend(int depth)
{
	volatile char room[4096];

	room[depth] = depth;
	return depth ? descend(depth - 1) + room[depth] : 0;
}

static int end(void)
{
#ifdef EXIT
	exit(EXIT);
#elif defined(ABORT)
	abort();
#elif defined(LEAVE)
	pthread_exit(NULL);
#elif defined(RETURN)
	return RETURN;
#elif defined(TOO_LARGE)
	return malloc(1UL << 40) != NULL;
#elif defined(TOO_MUCH)
	for (int n = 0; n < 1000; n++)
		memset(malloc(1 << 20), 1, 8);
#elif defined(TOO_MANY)
	pthread_t thread;

	for (int n = 0; n < 14; n++) {
		if (pthread_create(&thread, NULL, set, NULL))
			return 1;
	}
	return !pthread_create(&thread, NULL, set, NULL);
#elif defined(TOO_DEEP)
	return descend(100) & 0;
#elif defined(READ)
	char byte, line[8];

	return getchar() != EOF || read(STDIN_FILENO, &byte, 1) || fgets(line, sizeof(line), stdin);
#elif defined(PRINT)
	printf("%d\n", getpid());
	fprintf(stderr, "to stderr\n");
	return puts("text") < 0 || fflush(stdout);
#elif defined(PRINT_NOTHING)
	printf("%s\n", (char *)8);
#endif
	return 0;
}

int main(void)
{
	pthread_t thread;
	int status;

	pthread_create(&thread, NULL, set, NULL);
	status = end();
	pthread_join(thread, NULL);
	return status;
}
