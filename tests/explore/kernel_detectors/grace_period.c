// SPDX-License-Identifier: MIT
/*
 * A grace period that ends while a reader is left that had begun before it. No
 * claim is made of what the reader sees. Those of the kernel itself that are right
 * are explored as primitives.
 */
// expect: held
// expect -D TOO_SHORT: violated short-grace-period
// expect -D SECTIONS -D TOO_SHORT: violated short-grace-period
// expect -D SECTIONS -D IRQS_OFF -D TOO_SHORT: violated short-grace-period
// expect -D TASKS -D TOO_SHORT: violated short-grace-period
// expect -D RUDE -D TOO_SHORT: violated short-grace-period
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_rude.h>

static u32 domain, reading, removed, reused;

#if !defined(SECTIONS) && !defined(TASKS) && !defined(RUDE)

/* One reader, and who waits for it looks at a word; or does not. */
static void begin_reading(void)
{
	(void)xchg(&reading, 1);
	machine_reader_begins(&domain);
}

static void end_reading(void)
{
	machine_reader_ends(&domain);
	smp_store_release(&reading, 0);
	machine_wake(&reading);
}

static void wait_for_readers(void)
{
	u64 began;

	smp_mb();
	began = machine_grace_period_begins(&domain);
#ifndef TOO_SHORT
	while (smp_load_acquire(&reading))
		machine_relax_while(&reading, 1);
#endif
	machine_grace_period_ends(&domain, began);
}

#elif defined(TASKS)

/* All that the task does is a reader, up to where it will do nothing more. */
static void begin_reading(void)
{
}

static void end_reading(void)
{
	rcu_tasks_wait_begin();
}

static void wait_for_readers(void)
{
#ifdef TOO_SHORT
	u64 began = machine_grace_period_begins(TASK_READERS);

	/* Not those that are preempted, or only run. */
	synchronize_rcu();
	machine_grace_period_ends(TASK_READERS, began);
#else
	synchronize_rcu_tasks();
#endif
}

#elif defined(RUDE)

/* The third CPU idles all the time: where RCU does not watch, it may read. */
EXPLORE_CPUS(3);

static void begin_reading(void)
{
	preempt_disable();
}

static void end_reading(void)
{
	preempt_enable();
}

static void wait_for_readers(void)
{
#ifdef TOO_SHORT
	u64 began = machine_grace_period_begins(RUDE_READERS);

	synchronize_rcu();
	machine_grace_period_ends(RUDE_READERS, began);
#else
	synchronize_rcu_tasks_rude();
#endif
}

#else

static void begin_reading(void)
{
#ifdef IRQS_OFF
	local_irq_disable();
#else
	rcu_read_lock();
#endif
}

static void end_reading(void)
{
#ifdef IRQS_OFF
	local_irq_enable();
#else
	rcu_read_unlock();
#endif
}

static void wait_for_readers(void)
{
#ifdef TOO_SHORT
	u64 began;

	smp_mb();
	began = machine_grace_period_begins(RCU_READERS);
	machine_grace_period_ends(RCU_READERS, began);
#else
	synchronize_rcu();
#endif
}

#endif

TASK(0, reader)
{
	begin_reading();
	(void)READ_ONCE(removed);
	(void)READ_ONCE(reused);
	end_reading();
}

TASK(1, waiter)
{
	WRITE_ONCE(removed, 1);
	wait_for_readers();
	WRITE_ONCE(reused, 1);
}
