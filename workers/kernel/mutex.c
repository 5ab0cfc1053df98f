// SPDX-License-Identifier: MIT
/* Sleeping locks. A release hands the lock to nobody: it wakes the first waiter, which tries. */
#include <finding.h>
#include <kernel/mutex.h>
#include <kernel/sched.h>

struct mutex_waiter {
	struct list_head list;
	struct task_struct *task;
};

void mutex_init(struct mutex *lock)
{
	lock->owner = 0;
	lock->wait_lock.owner = 0;
	lock->nr_waiters = 0;
	INIT_LIST_HEAD(&lock->waiters);
	machine_lock_made(&lock->owner);
	machine_lock_made(&lock->wait_lock.owner);
}

static bool take(struct mutex *lock)
{
	return cmpxchg(&lock->owner, 0, (u64)current) == 0;
}

bool mutex_trylock(struct mutex *lock)
{
	bool taken = take(lock);

	if (taken) {
		task_keeps_cpu();
		machine_lock_acquired(&lock->owner, LOCK_TRY);
	}
	return taken;
}

__owner_looks bool mutex_is_held(const struct mutex *lock)
{
	return READ_ONCE(lock->owner) == (u64)current;
}

static void mutex_lock_slowpath(struct mutex *lock)
{
	struct mutex_waiter waiter = { .task = current };
	struct wait_note before;
	u32 flags;

	if (unlikely(mutex_is_held(lock)))
		report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_MUTEX, (u64)lock, 1);
	flags = spin_lock_irqsave(&lock->wait_lock);
	list_add_tail(&waiter.list, &lock->waiters);
	WRITE_ONCE(lock->nr_waiters, lock->nr_waiters + 1);
	spin_unlock_irqrestore(&lock->wait_lock, flags);
	for (;;) {
		struct task_struct *owner;

		/* Blocked before the try, the try before sleeping; pairs with mutex_unlock(). */
		set_current_blocked();
		if (take(lock))
			break;
		owner = (struct task_struct *)READ_ONCE(lock->owner);
		before = wait_begin(WAIT_MUTEX, lock, owner ? owner->index + 1 : 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
	flags = spin_lock_irqsave(&lock->wait_lock);
	list_del(&waiter.list);
	WRITE_ONCE(lock->nr_waiters, lock->nr_waiters - 1);
	spin_unlock_irqrestore(&lock->wait_lock, flags);
}

void mutex_lock(struct mutex *lock)
{
	might_sleep();
	task_keeps_cpu();
	if (!take(lock))
		mutex_lock_slowpath(lock);
	machine_lock_acquired(&lock->owner, 0);
}

void mutex_unlock(struct mutex *lock)
{
	struct task_struct *first = NULL;
	u64 owner;
	u32 flags;

	machine_lock_released(&lock->owner);
	/* Released before the waiters are looked at; pairs with set_current_blocked(). */
	owner = xchg(&lock->owner, 0UL);
	if (unlikely(owner != (u64)current))
		report_finding(FINDING_BAD_STATE, NULL, (u64)lock, owner, (u64)current);
	task_lets_cpu_go();
	if (!READ_ONCE(lock->nr_waiters))
		return;
	flags = spin_lock_irqsave(&lock->wait_lock);
	if (!list_empty(&lock->waiters)) {
		first = list_first_entry(&lock->waiters, struct mutex_waiter, list)->task;
		wake_up_process(first);
	}
	spin_unlock_irqrestore(&lock->wait_lock, flags);
}
