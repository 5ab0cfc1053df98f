// SPDX-License-Identifier: MIT
/*
 * While no writer is near, a reader counts itself with preemption off, and that is all. A
 * writer turns that off by a grace period, says that it is there, and waits until there
 * are no readers. Then a reader counts itself and looks for a writer: if there is one it
 * takes itself back, and waits in line.
 */
#include <error.h>
#include <finding.h>
#include <kernel/percpu_rwsem.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

struct percpu_rwsem_waiter {
	struct list_head list;
	struct task_struct *task;
	u32 writes;
	u32 granted;          /* 1 = it has been let in; who lets it in writes */
};

int percpu_init_rwsem(struct percpu_rw_semaphore *sem)
{
	*sem = (struct percpu_rw_semaphore){ 0 };
	rcu_sync_init(&sem->rss);
	INIT_LIST_HEAD(&sem->waiters);
	machine_lock_made(&sem->block);
	machine_lock_made(&sem->wait_lock.owner);
	sem->readers = kcalloc(num_cpus(), sizeof(*sem->readers), GFP_KERNEL);
	return sem->readers ? 0 : -ENOMEM;
}

void percpu_free_rwsem(struct percpu_rw_semaphore *sem)
{
	rcu_sync_dtor(&sem->rss);
	kfree(sem->readers);
	sem->readers = NULL;
}

/* Preemption is off. One instruction: no interrupt comes in between. */
static void count(struct percpu_rw_semaphore *sem, s64 readers)
{
	this_cpu_add(&sem->readers[smp_processor_id()].count, readers);
}

static bool has_readers(const struct percpu_rw_semaphore *sem)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		sum += READ_ONCE(sem->readers[cpu].count);
	return sum;
}

/* Preemption is off. One that has seen readers, and sleeps, is to look again. */
static void wake_writer(struct percpu_rw_semaphore *sem)
{
	struct task_struct *writer;

	smp_mb(); /* The count before who waits for it; pairs with wait_for_readers(). */
	writer = READ_ONCE(sem->writer);
	if (writer)
		wake_up_process(writer);
}

/* Preemption is off. */
static bool try_read(struct percpu_rw_semaphore *sem)
{
	count(sem, 1);
	smp_mb(); /* A: the count before the look at block; pairs with D. */
	if (likely(!smp_load_acquire(&sem->block)))
		return true;
	count(sem, -1);
	wake_writer(sem);
	return false;
}

static bool try_write(struct percpu_rw_semaphore *sem)
{
	/* D: block before the counts are looked at; pairs with A. */
	return !READ_ONCE(sem->block) && !xchg(&sem->block, 1);
}

/* Who lets a reader in counts it where it runs itself: only the sum counts. */
static bool let_in(struct percpu_rw_semaphore *sem, bool writes)
{
	return writes ? try_write(sem) : try_read(sem);
}

/* All readers up to the next writer, or one writer. */
static void wake_waiters(struct percpu_rw_semaphore *sem)
{
	u32 flags = spin_lock_irqsave(&sem->wait_lock);
	bool writes = false;

	while (!writes && !list_empty(&sem->waiters)) {
		struct percpu_rwsem_waiter *first;
		struct task_struct *task;

		first = list_first_entry(&sem->waiters, struct percpu_rwsem_waiter, list);
		task = first->task;
		writes = first->writes;
		if (!let_in(sem, writes))
			break;
		list_del(&first->list);
		/* The waiter's stack frame may be gone after this. */
		smp_store_release(&first->granted, 1);
		wake_up_process(task);
	}
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}

static void note_and_sleep(const struct percpu_rw_semaphore *sem)
{
	const struct task_struct *owner = (const struct task_struct *)READ_ONCE(sem->owner);
	struct wait_note before;

	before = wait_begin(WAIT_PERCPU_RWSEM, sem, owner && owner != current ? owner->index + 1
									       : 0);
	schedule();
	wait_end(before);
}

static void wait_in_line(struct percpu_rw_semaphore *sem, bool writes)
{
	struct percpu_rwsem_waiter waiter = { .task = current, .writes = writes };
	u32 flags = spin_lock_irqsave(&sem->wait_lock);
	bool now = let_in(sem, writes);

	if (!now)
		list_add_tail(&waiter.list, &sem->waiters);
	spin_unlock_irqrestore(&sem->wait_lock, flags);
	if (now)
		return;
	for (;;) {
		/* Blocked before the test, the test before sleeping; pairs with wake_waiters(). */
		set_current_blocked();
		if (smp_load_acquire(&waiter.granted))
			break;
		note_and_sleep(sem);
	}
	set_current_running();
}

static void check_not_own(const struct percpu_rw_semaphore *sem)
{
	if (unlikely(READ_ONCE(sem->owner) == (u64)current))
		report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_PERCPU_RWSEM,
			       (u64)sem, 1);
}

void percpu_down_read(struct percpu_rw_semaphore *sem)
{
	bool taken = true;

	might_sleep();
	check_not_own(sem);
	task_keeps_cpu();
	preempt_disable();
	if (likely(rcu_sync_is_idle(&sem->rss)))
		count(sem, 1);
	else
		taken = try_read(sem);
	preempt_enable();
	if (!taken)
		wait_in_line(sem, false);
	machine_lock_acquired(&sem->block, LOCK_SHARED);
}

bool percpu_down_read_trylock(struct percpu_rw_semaphore *sem)
{
	bool taken = true;

	preempt_disable();
	if (likely(rcu_sync_is_idle(&sem->rss)))
		count(sem, 1);
	else
		taken = try_read(sem);
	preempt_enable();
	if (!taken)
		return false;
	task_keeps_cpu();
	machine_lock_acquired(&sem->block, LOCK_SHARED | LOCK_TRY);
	return true;
}

void percpu_up_read(struct percpu_rw_semaphore *sem)
{
	machine_lock_released(&sem->block);
	preempt_disable();
	if (likely(rcu_sync_is_idle(&sem->rss))) {
		count(sem, -1);
	} else {
		smp_mb(); /* B: what was read before the count; pairs with C. */
		count(sem, -1);
		wake_writer(sem);
	}
	preempt_enable();
	task_lets_cpu_go();
}

static void wait_for_readers(struct percpu_rw_semaphore *sem)
{
	WRITE_ONCE(sem->writer, current);
	for (;;) {
		/* Writer and blocked before the counts; pairs with wake_writer(). */
		set_current_blocked();
		if (!has_readers(sem))
			break;
		note_and_sleep(sem);
	}
	set_current_running();
	WRITE_ONCE(sem->writer, NULL);
	smp_mb(); /* C: the counts before what is done under the lock; pairs with B. */
}

void percpu_down_write(struct percpu_rw_semaphore *sem)
{
	might_sleep();
	check_not_own(sem);
	task_keeps_cpu();
	rcu_sync_enter(&sem->rss);
	if (!try_write(sem))
		wait_in_line(sem, true);
	WRITE_ONCE(sem->owner, (u64)current);
	wait_for_readers(sem);
	machine_lock_acquired(&sem->block, 0);
}

void percpu_up_write(struct percpu_rw_semaphore *sem)
{
	machine_lock_released(&sem->block);
	if (unlikely(READ_ONCE(sem->owner) != (u64)current))
		report_finding(FINDING_BAD_STATE, NULL, (u64)sem, READ_ONCE(sem->owner),
			       (u64)current);
	/* Nobody's before it is free: the next writer says that it is its own. */
	WRITE_ONCE(sem->owner, 0);
	/* What was written before it is free; pairs with the acquire of try_read(). */
	smp_store_release(&sem->block, 0);
	wake_waiters(sem);
	rcu_sync_exit(&sem->rss);
	task_lets_cpu_go();
}

bool percpu_is_read_locked(const struct percpu_rw_semaphore *sem)
{
	return has_readers(sem) && !percpu_is_write_locked(sem);
}

bool percpu_rwsem_is_held(const struct percpu_rw_semaphore *sem)
{
	return percpu_is_write_locked(sem) || has_readers(sem);
}
