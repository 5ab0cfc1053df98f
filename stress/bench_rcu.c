// SPDX-License-Identifier: MIT
/*
 * What testbed bench rcu measures, each as a function that repeats one thing for a while:
 * what a reader costs, how long a grace period takes, how many callbacks are run.
 */
#include <kernel/sched.h>
#include <kernel/srcu.h>

/* What was done since the measurement began. CPU 0 writes. */
struct bench_rcu_result {
	u64 count;
	u64 ns;
};

struct bench_rcu_result bench_rcu_result;
u64 bench_rcu_stop;           /* 1 = readers end; Python writes */
u64 bench_rcu_reads[MAX_CPUS][8]; /* by CPU, one cache line each; it adds */

DEFINE_STATIC_SRCU(bench_srcu);
DEFINE_STATIC_SRCU(bench_srcu_fast);

static s64 done(u64 count, u64 start)
{
	bench_rcu_result.ns = machine_now() - start;
	bench_rcu_result.count = count;
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

/* The read side alone: @count empty sections. */
s64 bench_srcu_read(u64 count)
{
	u64 start = machine_now();

	for (u64 n = 0; n < count; n++)
		srcu_read_unlock(&bench_srcu, srcu_read_lock(&bench_srcu));
	return done(count, start);
}

s64 bench_srcu_fast_read(u64 count)
{
	u64 start = machine_now();

	for (u64 n = 0; n < count; n++) {
		u32 idx = srcu_read_lock_fast(&bench_srcu_fast);

		srcu_read_unlock_fast(&bench_srcu_fast, idx);
	}
	return done(count, start);
}

/* The updater's load: one section after the other, until told to end. */
s64 bench_srcu_reader(void *unused)
{
	while (!READ_ONCE(bench_rcu_stop)) {
		for (u32 n = 0; n < READS; n++)
			srcu_read_unlock(&bench_srcu, srcu_read_lock(&bench_srcu));
		count_reads();
	}
	return 0;
}

s64 bench_srcu_fast_reader(void *unused)
{
	while (!READ_ONCE(bench_rcu_stop)) {
		for (u32 n = 0; n < READS; n++) {
			u32 idx = srcu_read_lock_fast(&bench_srcu_fast);

			srcu_read_unlock_fast(&bench_srcu_fast, idx);
		}
		count_reads();
	}
	return 0;
}

static s64 wait_often(struct srcu_struct *ssp, void (*wait)(struct srcu_struct *ssp), u64 ns)
{
	u64 start = machine_now(), count = 0;

	do {
		wait(ssp);
		count++;
	} while (machine_now() - start < ns);
	return done(count, start);
}

s64 bench_srcu_grace_periods(u64 ns)
{
	return wait_often(&bench_srcu, synchronize_srcu, ns);
}

s64 bench_srcu_grace_periods_expedited(u64 ns)
{
	return wait_often(&bench_srcu, synchronize_srcu_expedited, ns);
}

s64 bench_srcu_fast_grace_periods(u64 ns)
{
	return wait_often(&bench_srcu_fast, synchronize_srcu, ns);
}
