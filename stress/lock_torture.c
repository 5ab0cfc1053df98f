// SPDX-License-Identifier: MIT
/*
 * Locks under load, in the spirit of kernel/locking/locktorture.c (v6.12).
 *
 * Who has the lock alone counts itself, and then there must be no other writer and no reader;
 * it writes a new version into some words, one after the other. A reader must find the same
 * version in all of them, and still find it when it goes.
 */
#include "lock_torture.h"

#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/smp.h>
#include <tasks/random.h>

#define WORDS 6
#define LONG_HOLD_EVERY 256   /* acquisitions */
#define TRY_EVERY 16
#define DOWNGRADE_EVERY 8

struct lock_torture {
	u32 kind;             /* place in torture_locks[] */
	u32 hold;             /* longest time that it is held, cycles */
	u32 long_hold;        /* now and then so long, cycles; 0 = never */
	u32 pause;            /* longest time between, cycles */
	u32 nested;           /* of them, at most, are taken before */
	u32 irq_per_mille;    /* taken in an interrupt of some CPU */
	u32 most_readers;     /* at once, seen by a reader */
	u32 pad;
	/* What the lock protects; the counts are atomic, to notice when it does not. */
	u32 writers __cacheline_aligned;
	u32 readers;
	u32 writer_cpu;       /* of the last one that came in */
	u32 reader_cpu;
	u64 version[WORDS];   /* the same in all of them */
} __cacheline_aligned;

/* One task; it alone writes, and its interrupts do while it waits for them. */
struct lock_torture_task {
	struct lock_torture *torture;
	u64 random;           /* state of its generator, not 0 */
	u64 writes;           /* times that it had the lock alone, to write */
	u64 reads;
	u64 retries;          /* reads that a writer disturbed */
	u64 refused;          /* tries that did not get it */
	u64 downgrades;
	u64 interrupts;       /* of its acquisitions */
	u32 writes_only;      /* 1 = a writer */
	u32 pad;
} __cacheline_aligned;

static u32 tasks_left;        /* that have not ended; atomic */

/* Before the first of @tasks. */
s64 lock_torture_begin(u64 tasks)
{
	tasks_left = tasks;
	return torture_locks_init();
}

static void spin_a_while(struct lock_torture_task *task, u32 most)
{
	u64 start = machine_cycles(), cycles = most ? random_below(&task->random, most) : 0;

	while (machine_cycles() - start < cycles)
		barrier();
}

static void hold(struct lock_torture_task *task)
{
	const struct lock_torture *torture = task->torture;

	if (torture->long_hold && !random_below(&task->random, LONG_HOLD_EVERY))
		spin_a_while(task, torture->long_hold);
	else
		spin_a_while(task, torture->hold);
}

/* Two are inside that must not be: the other one stands where the machine stops. */
static void check_alone(const struct lock_torture *torture, u32 writers, u32 readers, u32 other)
{
	struct side side = side_of_cpu(other);

	if (unlikely(READ_ONCE(torture->writers) != writers ||
		     READ_ONCE(torture->readers) > readers))
		report_finding(FINDING_CLAIM, &side, READ_ONCE(torture->writers),
			       READ_ONCE(torture->readers), writers);
}

static void check_version(const struct lock_torture *torture, const u64 *seen)
{
	struct side side = side_of_cpu(READ_ONCE(torture->writer_cpu));

	for (u32 n = 1; n < WORDS; n++) {
		if (unlikely(seen[n] != seen[0]))
			report_finding(FINDING_CLAIM, &side, n, seen[n], seen[0]);
	}
}

static void read_version(const struct lock_torture *torture, u64 *seen)
{
	for (u32 n = 0; n < WORDS; n++)
		seen[n] = READ_ONCE(torture->version[n]);
}

/* The caller has the lock alone. */
static void write_inside(struct lock_torture_task *task)
{
	struct lock_torture *torture = task->torture;
	u64 next = torture->version[0] + 1, seen[WORDS];

	atomic_inc(&torture->writers);
	check_alone(torture, 1, 0, READ_ONCE(torture->writers) > 1 ? torture->writer_cpu
								    : torture->reader_cpu);
	WRITE_ONCE(torture->writer_cpu, smp_processor_id());
	for (u32 n = 0; n < WORDS; n++) {
		if (n == WORDS / 2)
			hold(task);
		WRITE_ONCE(torture->version[n], next);
	}
	read_version(torture, seen);
	check_version(torture, seen);
	check_alone(torture, 1, 0, torture->writer_cpu);
	atomic_dec(&torture->writers);
}

/* The caller has it, maybe with other readers. */
static void read_inside(struct lock_torture_task *task, u32 most_readers)
{
	struct lock_torture *torture = task->torture;
	u32 readers = atomic_add_return(1, &torture->readers);
	u64 seen[WORDS], again[WORDS];

	check_alone(torture, 0, most_readers, READ_ONCE(torture->writer_cpu));
	WRITE_ONCE(torture->reader_cpu, smp_processor_id());
	if (readers > READ_ONCE(torture->most_readers))
		WRITE_ONCE(torture->most_readers, readers);
	read_version(torture, seen);
	check_version(torture, seen);
	hold(task);
	read_version(torture, again);
	check_version(torture, again);
	check_alone(torture, 0, most_readers, READ_ONCE(torture->writer_cpu));
	if (unlikely(seen[0] != again[0]))
		report_finding(FINDING_CLAIM, NULL, seen[0], again[0], 0);
	atomic_dec(&torture->readers);
}

/* Without a lock: what was read counts only if no writer was there. */
static void read_again_and_again(struct lock_torture_task *task, const struct lock_ops *ops)
{
	u64 seen[WORDS];
	u32 start;

	for (;;) {
		start = ops->begin(TORTURED);
		read_version(task->torture, seen);
		hold(task);
		seen[0] = READ_ONCE(task->torture->version[0]);
		if (!ops->retry(TORTURED, start))
			break;
		task->retries++;
	}
	check_version(task->torture, seen);
}

static bool take_to_write(struct lock_torture_task *task, const struct lock_ops *ops, u32 *flags)
{
	if (!ops->try_write || random_below(&task->random, TRY_EVERY)) {
		*flags = ops->write(TORTURED);
		return true;
	}
	return ops->try_write(TORTURED, flags);
}

static void write_once(struct lock_torture_task *task, const struct lock_ops *ops)
{
	u32 flags;

	if (!take_to_write(task, ops, &flags)) {
		task->refused++;
		return;
	}
	write_inside(task);
	if (ops->downgrade && !random_below(&task->random, DOWNGRADE_EVERY)) {
		u64 version = task->torture->version[0];

		ops->downgrade(TORTURED);
		read_inside(task, MAX_TASKS);
		/* Nobody has written in between. */
		if (unlikely(READ_ONCE(task->torture->version[0]) != version))
			report_finding(FINDING_CLAIM, NULL, version, task->torture->version[0], 1);
		ops->read_done(TORTURED);
		task->downgrades++;
	} else {
		ops->write_done(TORTURED, flags);
	}
	task->writes++;
}

static void read_shared(struct lock_torture_task *task, const struct lock_ops *ops)
{
	if (ops->try_read && !random_below(&task->random, TRY_EVERY)) {
		if (!ops->try_read(TORTURED)) {
			task->refused++;
			return;
		}
	} else {
		ops->read(TORTURED);
	}
	read_inside(task, MAX_TASKS);
	ops->read_done(TORTURED);
	task->reads++;
}

static void read_once(struct lock_torture_task *task, const struct lock_ops *ops)
{
	u32 flags;

	if (ops->read) {
		read_shared(task, ops);
		return;
	}
	if (ops->begin) {
		read_again_and_again(task, ops);
	} else if (take_to_write(task, ops, &flags)) {
		read_inside(task, 1);
		ops->write_done(TORTURED, flags);
	} else {
		task->refused++;
		return;
	}
	task->reads++;
}

/* Interrupts only read, where readers need no interrupts off; else they take it alone. */
static void in_interrupt_of(void *argument)
{
	struct lock_torture_task *task = argument;
	const struct lock_ops *ops = &torture_locks[task->torture->kind];

	if (ops->read || ops->begin || !task->writes_only)
		read_once(task, ops);
	else
		write_once(task, ops);
	task->interrupts++;
}

/* A few of the others, in their order, each of them for reading if readers can share it. */
static u32 take_nested(struct lock_torture_task *task, const struct lock_ops *ops, u32 *flags)
{
	u32 mask = random_below(&task->random, 1 << task->torture->nested);

	for (u32 left = mask; left; left &= left - 1) {
		u32 n = __builtin_ctz(left);

		if (ops->read && !task->writes_only)
			ops->read(n);
		else
			flags[n] = ops->write(n);
	}
	return mask;
}

static void give_nested(struct lock_torture_task *task, const struct lock_ops *ops, u32 mask,
			const u32 *flags)
{
	for (u32 n = MAX_NESTED; n--; ) {
		if (!(mask >> n & 1))
			continue;
		if (ops->read && !task->writes_only)
			ops->read_done(n);
		else
			ops->write_done(n, flags[n]);
	}
}

static void one_round(struct lock_torture_task *task, const struct lock_ops *ops)
{
	u32 flags[MAX_NESTED], mask;

	if (ops->interrupts && random_below(&task->random, 1000) < task->torture->irq_per_mille) {
		/* One that is down runs nothing. */
		smp_call_function_single(random_below(&task->random, num_cpus()), in_interrupt_of,
					 task, true);
		return;
	}
	mask = take_nested(task, ops, flags);
	if (task->writes_only)
		write_once(task, ops);
	else
		read_once(task, ops);
	give_nested(task, ops, mask, flags);
}

s64 lock_torturer(void *argument)
{
	struct lock_torture_task *task = argument;
	struct lock_torture *torture = task->torture;

	while (!READ_ONCE(the_machine->stop)) {
		one_round(task, &torture_locks[torture->kind]);
		current->progress++;
		spin_a_while(task, torture->pause);
		cond_resched();
		cond_park();
	}
	if (atomic_dec_and_test(&tasks_left))
		torture_locks_free();
	return 0;
}
