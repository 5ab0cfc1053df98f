// SPDX-License-Identifier: MIT
/*
 * The same measurements of liburcu, by one flavour of it (-DFLAVOUR_memb, _mb or _qsbr): threads of
 * a process of their own.
 *
 * bench read COUNT | grace NS READERS | call COUNT ROUNDS: prints how many were done, and in how
 * many ns. A reader is in one section after the other; of qsbr, a hundred and a quiescent state.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define _LGPL_SOURCE /* The functions of readers inline, as those that they are compared with. */
#if defined(FLAVOUR_memb)
#include <urcu/urcu-memb.h>
#define OF(name) urcu_memb_##name
#elif defined(FLAVOUR_mb)
#include <urcu/urcu-mb.h>
#define OF(name) urcu_mb_##name
#elif defined(FLAVOUR_qsbr)
#include <urcu/urcu-qsbr.h>
#define OF(name) urcu_qsbr_##name
#else
#error "-DFLAVOUR_memb, -DFLAVOUR_mb or -DFLAVOUR_qsbr"
#endif

#define READS 100
#define MOST_READERS 64

static atomic_bool stop;
static atomic_uint inside; /* readers that have begun */
static atomic_ulong ran;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void say(uint64_t count, uint64_t start)
{
	printf("%lu %lu\n", count, now() - start);
}

static void quiesce(void)
{
#ifdef FLAVOUR_qsbr
	OF(quiescent_state)();
#endif
}

static void offline(void)
{
#ifdef FLAVOUR_qsbr
	OF(thread_offline)();
#endif
}

static void online(void)
{
#ifdef FLAVOUR_qsbr
	OF(thread_online)();
#endif
}

static void read_some(void)
{
	for (int n = 0; n < READS; n++) {
		OF(read_lock)();
		__asm__ volatile("" : : : "memory");
		OF(read_unlock)();
	}
	quiesce();
}

static void *reader(void *unused)
{
	OF(register_thread)();
	read_some();
	atomic_fetch_add(&inside, 1);
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		read_some();
	OF(unregister_thread)();
	return NULL;
}

static void bench_read(uint64_t count)
{
	uint64_t start;

	read_some();
	start = now();
	for (uint64_t n = 0; n < count / READS; n++)
		read_some();
	say(count / READS * READS, start);
}

static void bench_grace(uint64_t ns, unsigned int readers)
{
	pthread_t thread[MOST_READERS];
	uint64_t start, count = 0;

	for (unsigned int n = 0; n < readers; n++)
		pthread_create(&thread[n], NULL, reader, NULL);
	offline();
	while (atomic_load(&inside) < readers)
		sched_yield();
	start = now();
	do {
		OF(synchronize_rcu)();
		count++;
	} while (now() - start < ns);
	say(count, start);
	atomic_store(&stop, true);
	for (unsigned int n = 0; n < readers; n++)
		pthread_join(thread[n], NULL);
	online();
}

static void count_one(struct rcu_head *head)
{
	atomic_fetch_add_explicit(&ran, 1, memory_order_relaxed);
}

static void bench_call(uint64_t count, uint64_t rounds)
{
	struct rcu_head *heads = calloc(count, sizeof(*heads));
	uint64_t start = now();

	for (uint64_t round = 0; round < rounds; round++) {
		for (uint64_t n = 0; n < count; n++)
			OF(call_rcu)(&heads[n], count_one);
		offline();
		OF(barrier)();
		online();
	}
	say(atomic_load(&ran), start);
	free(heads);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t second = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;

	OF(register_thread)();
	if (argc == 3 && !strcmp(argv[1], "read"))
		bench_read(first);
	else if (argc == 4 && !strcmp(argv[1], "grace") && second <= MOST_READERS)
		bench_grace(first, second);
	else if (argc == 4 && !strcmp(argv[1], "call"))
		bench_call(first, second);
	else
		return 2;
	OF(unregister_thread)();
	return 0;
}
