/* SPDX-License-Identifier: MIT */
/* What the programs of this folder are written in: relaxed accesses and full fences. */
#ifndef TESTS_EXPLORE_PROGRAM_H
#define TESTS_EXPLORE_PROGRAM_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#define get(x) atomic_load_explicit(&(x), memory_order_relaxed)
#define set(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)
#define fence() atomic_thread_fence(memory_order_seq_cst)

/* COUNT: go on where a claim is false, so that each class of executions is one whole run. */
#ifdef COUNT
#define claim(condition) ((void)(condition))
#else
#define claim(condition) assert(condition)
#endif

/* A run in which it is false is none. */
void __VERIFIER_assume(int condition);
#define assume(condition) __VERIFIER_assume(condition)

#define MOST_THREADS 8

typedef void *body(void *number);

static inline void run_all(unsigned int threads, body *const bodies[])
{
	pthread_t thread[MOST_THREADS];

	for (unsigned long n = 0; n < threads; n++)
		pthread_create(&thread[n], NULL, bodies[n], (void *)n);
	for (unsigned long n = 0; n < threads; n++)
		pthread_join(thread[n], NULL);
}

#endif
