// SPDX-License-Identifier: MIT
/* What a task, an interrupt or a callback has begun it must end; and none sleeps meanwhile. */
// expect: held
// expect -D PREEMPTION_LEFT_OFF: violated unbalanced
// expect -D INTERRUPTS_LEFT_OFF: violated unbalanced
// expect -D READER_LEFT: violated unbalanced
// expect -D TRACE_READER_LEFT: violated unbalanced
// expect -D LOCK_LEFT: violated unbalanced
// expect -D MUTEX_LEFT: violated unbalanced
// expect -D LEFT_BY_INTERRUPT: violated unbalanced
// expect -D TURNED_ON_BY_INTERRUPT: violated unbalanced
// expect -D LEFT_BY_CALLBACK: violated unbalanced
// expect -D SLEEPS_IN_READER: violated bad-context
// expect -D SLEEPS_UNDER_LOCK: violated bad-context
// expect -D SLEEPS_INTERRUPTS_OFF: violated bad-context
// expect -D SLEEPS_IN_INTERRUPT: violated bad-context
// expect -D ALLOCATES_UNDER_LOCK: violated bad-context
// expect -D ALLOCATES_ATOMIC: held
// expect -D WAITS_IN_READER: violated bad-context
#include <explore.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/slab.h>
#include <kernel/smp.h>

static DEFINE_SPINLOCK(lock);
static DEFINE_SPINLOCK(other_lock);
static DEFINE_MUTEX(mutex);
static struct rcu_head head;

static void handler(void *unused)
{
#if defined(LEFT_BY_INTERRUPT)
	preempt_disable();
#elif defined(TURNED_ON_BY_INTERRUPT)
	local_irq_enable();
#elif defined(SLEEPS_IN_INTERRUPT)
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
#else
	spin_lock(&other_lock);
	spin_unlock(&other_lock);
#endif
}

static void callback(struct rcu_head *unused)
{
#ifdef LEFT_BY_CALLBACK
	preempt_disable();
#endif
}

static void under_lock(void)
{
	u32 flags = spin_lock_irqsave(&lock);
	void *object = NULL;

#if defined(SLEEPS_UNDER_LOCK)
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
#elif defined(ALLOCATES_UNDER_LOCK)
	object = kmalloc(8, GFP_KERNEL);
#elif defined(ALLOCATES_ATOMIC)
	object = kmalloc(8, GFP_ATOMIC);
#endif
#ifndef LOCK_LEFT
	spin_unlock_irqrestore(&lock, flags);
#else
	local_irq_restore(flags);
	preempt_enable();
#endif
	kfree(object);
}

TASK(0, task)
{
	rcu_read_lock();
#ifdef SLEEPS_IN_READER
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
#elif defined(WAITS_IN_READER)
	synchronize_rcu();
#endif
#ifndef READER_LEFT
	rcu_read_unlock();
	under_lock();
	mutex_lock(&mutex);
#ifndef MUTEX_LEFT
	mutex_unlock(&mutex);
#endif
#endif
#if defined(TRACE_READER_LEFT)
	rcu_read_lock_trace();
#elif defined(PREEMPTION_LEFT_OFF)
	preempt_disable();
#elif defined(INTERRUPTS_LEFT_OFF)
	local_irq_disable();
#elif defined(SLEEPS_INTERRUPTS_OFF)
	local_irq_disable();
	mutex_lock(&mutex);
	local_irq_enable();
#elif defined(LEFT_BY_CALLBACK)
	call_rcu(&head, callback);
	rcu_barrier();
#endif
	(void)callback;
	(void)head;
}

TASK(1, caller)
{
	smp_call_function_single(0, handler, NULL, true);
}
