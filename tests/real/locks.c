// SPDX-License-Identifier: MIT
/* Tasks that contend for locks and wait for completions. */
#include <error.h>
#include <irqflags.h>
#include <kernel/completion.h>
#include <kernel/kthread.h>
#include <kernel/mutex.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>

u32 gate;                     /* what tasks wait for; Python writes */
u32 reached;                  /* tasks that have come to their gate; atomic */

static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(mutex);
static DEFINE_MUTEX(second_mutex);
DECLARE_COMPLETION(done);

enum contest_kind { CONTEST_NOTHING, CONTEST_SPIN, CONTEST_IRQSAVE, CONTEST_MUTEX };

u64 contest_rounds;           /* of each task; Python writes before */
u64 contest_count;            /* a plain counter that the lock protects */
u32 contest_inside;           /* tasks inside; atomic */
u64 contest_overlaps;         /* times that somebody else was inside; atomic */

static void enter_and_leave(void)
{
	u64 before = READ_ONCE(contest_count);

	if (atomic_add_return(1, &contest_inside) != 1)
		atomic_inc(&contest_overlaps);
	for (u32 n = 0; n < 20; n++)
		barrier();
	atomic_dec(&contest_inside);
	WRITE_ONCE(contest_count, before + 1);
}

static void contest_round(enum contest_kind kind)
{
	u32 flags;

	switch (kind) {
	case CONTEST_SPIN:
		spin_lock(&lock);
		enter_and_leave();
		spin_unlock(&lock);
		break;
	case CONTEST_IRQSAVE:
		flags = spin_lock_irqsave(&lock);
		enter_and_leave();
		spin_unlock_irqrestore(&lock, flags);
		break;
	case CONTEST_MUTEX:
		mutex_lock(&mutex);
		enter_and_leave();
		mutex_unlock(&mutex);
		break;
	default:
		enter_and_leave();
	}
}

/* The argument is an enum contest_kind. Without a lock it goes on until that has shown. */
s64 contend(void *kind)
{
	u64 round = 0;

	while (kind ? round < contest_rounds : !READ_ONCE(contest_overlaps)) {
		contest_round((u64)kind);
		round++;
		cond_resched();
	}
	return round;
}

static void contend_in_interrupt(void *unused)
{
	contest_round(CONTEST_IRQSAVE);
}

/* The lock is taken in interrupts of the CPU that holds it, too. */
s64 interrupt_contenders(void *target)
{
	for (u64 round = 0; round < contest_rounds; round++)
		smp_call_function_single((u64)target, contend_in_interrupt, NULL, true);
	return contest_rounds;
}

/* Hold the lock with interrupts on until one of them has wanted it: that one never gets it. */
s64 hold_with_interrupts_on(void *unused)
{
	spin_lock(&lock);
	WRITE_ONCE(reached, 1);
	while (!READ_ONCE(gate))
		machine_relax_while(&gate, 0);
	spin_unlock(&lock);
	return 0;
}

s64 trylock_twice(void)
{
	bool first = spin_trylock(&lock), second = spin_trylock(&lock);

	spin_unlock(&lock);
	return first << 1 | second;
}

s64 trylock_mutex_twice(void)
{
	bool first = mutex_trylock(&mutex), second = mutex_trylock(&mutex);
	bool held = mutex_is_held(&mutex);

	mutex_unlock(&mutex);
	return first << 2 | second << 1 | held;
}

static void wait_at_gate(void)
{
	atomic_inc(&reached);
	while (!READ_ONCE(gate))
		cond_resched();
}

static void lock_both(struct mutex *one, struct mutex *other)
{
	mutex_lock(one);
	wait_at_gate();
	mutex_lock(other);
	mutex_unlock(other);
	mutex_unlock(one);
}

s64 lock_forth(void *unused)
{
	lock_both(&mutex, &second_mutex);
	return 0;
}

s64 lock_back(void *unused)
{
	lock_both(&second_mutex, &mutex);
	return 0;
}

s64 lock_twice(void)
{
	mutex_lock(&mutex);
	mutex_lock(&mutex);
	return 0;
}

s64 unlock_what_is_not_held(void)
{
	mutex_unlock(&mutex);
	return 0;
}

/* Completions. */
u32 woken;                    /* tasks that waited and went on; atomic */

s64 complete_before_wait(void)
{
	complete(&done);
	wait_for_completion(&done);
	return done.done;
}

s64 wait_for_done(void *unused)
{
	wait_for_completion(&done);
	atomic_inc(&woken);
	return 0;
}

s64 complete_times(u64 times)
{
	for (u64 n = 0; n < times; n++)
		complete(&done);
	return 0;
}

s64 complete_for_all(void)
{
	complete_all(&done);
	return 0;
}

s64 reinit_done(void)
{
	reinit_completion(&done);
	return completion_done(&done);
}

s64 count_waiters(void)
{
	u32 flags = spin_lock_irqsave(&done.lock);
	const struct list_head *node;
	s64 count = 0;

	for (node = done.waiters.next; node != &done.waiters; node = node->next)
		count++;
	spin_unlock_irqrestore(&done.lock, flags);
	return count;
}

/* What must not be done where one may not sleep; and where one may. */
s64 sleep_with_preemption_off(u64 off)
{
	complete(&done);
	if (off)
		preempt_disable();
	wait_for_completion(&done);
	if (off)
		preempt_enable();
	return 0;
}

s64 lock_with_spinlock_held(u64 held)
{
	if (held)
		spin_lock(&lock);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
	if (held)
		spin_unlock(&lock);
	return 0;
}

static void take_mutex(void *unused)
{
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
}

s64 lock_in_interrupt(u64 cpu)
{
	return smp_call_function_single(cpu, take_mutex, NULL, true);
}

/* Kernel threads. */
struct task_struct *stoppable;

static s64 run_until_stopped(void *unused)
{
	while (!kthread_should_stop()) {
		current->progress++;
		cond_resched();
	}
	return 42;
}

s64 start_stoppable(u64 cpu)
{
	stoppable = kthread_run(cpu, run_until_stopped, NULL, "stoppable");
	return stoppable ? (s64)stoppable->index : -EAGAIN;
}

s64 stop_stoppable(void)
{
	kthread_stop(stoppable);
	return 0;
}

static s64 sleep_until_stopped(void *unused)
{
	while (!kthread_should_stop()) {
		set_current_blocked();
		if (!kthread_should_stop())
			schedule();
		set_current_running();
		current->progress++;
	}
	return 43;
}

s64 start_sleeper(u64 cpu)
{
	stoppable = kthread_run(cpu, sleep_until_stopped, NULL, "sleeper");
	return stoppable ? (s64)stoppable->index : -EAGAIN;
}

/* Gets on for a while, and then no more. */
s64 stand_after_a_start(void *unused)
{
	current->progress++;
	while (!READ_ONCE(gate))
		barrier();
	return 0;
}

/* Leaves what it has begun: a section as a task, or in an interrupt of CPU @cpu. */
static void leave_preemption_off(void *unused)
{
	preempt_disable();
}

s64 end_unbalanced(void *unused)
{
	local_irq_disable();
	return 0;
}

s64 interrupt_unbalanced(void *cpu)
{
	smp_call_function_single((int)(u64)cpu, leave_preemption_off, NULL, true);
	return 0;
}

s64 allocate_under_lock(void *unused)
{
	spin_lock(&lock);
	kfree(kmalloc(8, GFP_KERNEL));
	spin_unlock(&lock);
	return 0;
}
