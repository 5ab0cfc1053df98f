// SPDX-License-Identifier: MIT
/*
 * What testbed bench rcu measures, each as a function that repeats one thing for a while:
 * what a reader costs, how long a grace period takes, how many callbacks are run.
 */
#include <error.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/srcu.h>

/* What was done since the measurement began. CPU 0 writes. */
struct bench_result {
	u64 count;
	u64 ns;
};

struct bench_result bench_result;
u64 bench_rcu_stop;           /* 1 = readers end; Python writes */
u64 bench_rcu_reads[MAX_CPUS][8]; /* by CPU, one cache line each; it adds */

DEFINE_STATIC_SRCU(srcu);
DEFINE_STATIC_SRCU(srcu_fast);

static s64 done(u64 count, u64 start)
{
	bench_result.ns = machine_now() - start;
	bench_result.count = count;
	return 0;
}

/* How many sections a reader is in between two looks whether it is to end. */
#define READS 100

static void count_reads(void)
{
	u64 *reads = &bench_rcu_reads[smp_processor_id()][0];

	WRITE_ONCE(*reads, *reads + READS);
	cond_resched();
}

/* The read side alone, @count empty sections; and the load of who waits for readers. */
#define READERS_OF(name, section) \
	s64 bench_##name##_read(u64 count) \
	{ \
		u64 start = machine_now(); \
		\
		for (u64 n = 0; n < count; n++) \
			section; \
		return done(count, start); \
	} \
	s64 bench_##name##_reader(void *unused) \
	{ \
		while (!READ_ONCE(bench_rcu_stop)) { \
			for (u32 n = 0; n < READS; n++) \
				section; \
			count_reads(); \
		} \
		return 0; \
	}

static inline void rcu_section(void)
{
	rcu_read_lock();
	rcu_read_unlock();
}

static inline void srcu_section(void)
{
	srcu_read_unlock(&srcu, srcu_read_lock(&srcu));
}

static inline void srcu_fast_section(void)
{
	srcu_read_unlock_fast(&srcu_fast, srcu_read_lock_fast(&srcu_fast));
}

static inline void trace_section(void)
{
	rcu_read_lock_trace();
	rcu_read_unlock_trace();
}

READERS_OF(rcu, rcu_section())
READERS_OF(srcu, srcu_section())
READERS_OF(srcu_fast, srcu_fast_section())
READERS_OF(tasks_trace, trace_section())

/* A task that never sleeps says now and then that it is in no reader of RCU-tasks. */
s64 bench_tasks_reader(void *unused)
{
	while (!READ_ONCE(bench_rcu_stop)) {
		for (u32 n = 0; n < READS; n++)
			barrier();
		count_reads();
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

/* One grace period after the other. */
#define GRACE_PERIODS_OF(name, wait) \
	s64 bench_##name##_grace_periods(u64 ns) \
	{ \
		u64 start = machine_now(), count = 0; \
		\
		do { \
			wait; \
			count++; \
		} while (machine_now() - start < ns); \
		return done(count, start); \
	}

GRACE_PERIODS_OF(rcu, synchronize_rcu())
GRACE_PERIODS_OF(rcu_expedited, synchronize_rcu_expedited())
GRACE_PERIODS_OF(srcu, synchronize_srcu(&srcu))
GRACE_PERIODS_OF(srcu_expedited, synchronize_srcu_expedited(&srcu))
GRACE_PERIODS_OF(srcu_fast, synchronize_srcu(&srcu_fast))
GRACE_PERIODS_OF(tasks, synchronize_rcu_tasks())
GRACE_PERIODS_OF(tasks_rude, synchronize_rcu_tasks_rude())
GRACE_PERIODS_OF(tasks_trace, synchronize_rcu_tasks_trace())

static u64 ran;               /* callbacks; those who run them add, one at a time */

static void count_one(struct rcu_head *head)
{
	WRITE_ONCE(ran, ran + 1);
}

/* @rounds times @count callbacks, and wait until they have run; -ENOMEM. */
#define CALLS_OF(name, call, barrier) \
	s64 bench_##name##_calls(u64 count, u64 rounds) \
	{ \
		struct rcu_head *heads = kmalloc(count * sizeof(*heads), GFP_KERNEL); \
		u64 start = machine_now(); \
		\
		if (!heads) \
			return -ENOMEM; \
		WRITE_ONCE(ran, 0); \
		for (u64 round = 0; round < rounds; round++) { \
			for (u64 n = 0; n < count; n++) \
				call; \
			barrier; \
		} \
		kfree(heads); \
		return READ_ONCE(ran) == count * rounds ? done(ran, start) : -EAGAIN; \
	}

CALLS_OF(rcu, call_rcu(&heads[n], count_one), rcu_barrier())
