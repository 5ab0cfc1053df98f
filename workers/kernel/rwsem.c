// SPDX-License-Identifier: MIT
/*
 * The state word is enough while nobody waits. Who has to wait stands on a list, and who
 * releases hands the lock over to the first of it: the readers at its head, or one writer.
 */
#include <finding.h>
#include <kernel/rwsem.h>
#include <kernel/sched.h>

struct rwsem_waiter {
	struct list_head list;
	struct task_struct *task;
	u32 writes;
	u32 granted;          /* 1 = it holds the lock; who hands it over writes */
};

void init_rwsem(struct rw_semaphore *sem)
{
	*sem = (struct rw_semaphore){ 0 };
	INIT_LIST_HEAD(&sem->waiters);
	machine_lock_made(&sem->state);
	machine_lock_made(&sem->wait_lock.owner);
}

/* Under wait_lock: may @waiter have it, next to those who have it now? If so, it has. */
static bool grant(struct rw_semaphore *sem, const struct rwsem_waiter *waiter)
{
	u32 held = READ_ONCE(sem->state) & ~RWSEM_WAITERS;

	/* While somebody is on the list the others only release, so this stays true. */
	if (held & RWSEM_WRITER || (held && waiter->writes))
		return false;
	atomic_add_return(waiter->writes ? RWSEM_WRITER : 1, &sem->state);
	if (waiter->writes)
		WRITE_ONCE(sem->owner, (u64)waiter->task);
	return true;
}

/* Under wait_lock: hand the lock to as many as can have it, in their order. */
static void hand_over(struct rw_semaphore *sem)
{
	while (!list_empty(&sem->waiters)) {
		struct rwsem_waiter *first;
		struct task_struct *task;

		first = list_first_entry(&sem->waiters, struct rwsem_waiter, list);
		task = first->task;
		if (!grant(sem, first))
			return;
		list_del(&first->list);
		/* The waiter's stack frame may be gone after this. */
		smp_store_release(&first->granted, 1);
		wake_up_process(task);
	}
	atomic_fetch_and(~RWSEM_WAITERS, &sem->state);
}

static void wait_in_line(struct rw_semaphore *sem, bool writes)
{
	struct rwsem_waiter waiter = { .task = current, .writes = writes };
	u32 flags = spin_lock_irqsave(&sem->wait_lock);

	list_add_tail(&waiter.list, &sem->waiters);
	/* On the list before a release is told of it: who released before is seen here. */
	atomic_fetch_or(RWSEM_WAITERS, &sem->state);
	hand_over(sem);
	spin_unlock_irqrestore(&sem->wait_lock, flags);
	for (;;) {
		const struct task_struct *owner;
		struct wait_note before;

		/* Blocked before the test, the test before sleeping; pairs with hand_over(). */
		set_current_blocked();
		if (smp_load_acquire(&waiter.granted))
			break;
		owner = (const struct task_struct *)READ_ONCE(sem->owner);
		before = wait_begin(WAIT_RWSEM, sem, owner ? owner->index + 1 : 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
}

static void wake_waiters(struct rw_semaphore *sem)
{
	u32 flags = spin_lock_irqsave(&sem->wait_lock);

	hand_over(sem);
	spin_unlock_irqrestore(&sem->wait_lock, flags);
}

static __owner_looks void check_not_own(const struct rw_semaphore *sem)
{
	if (unlikely(READ_ONCE(sem->owner) == (u64)current))
		report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_RWSEM, (u64)sem, 1);
}

/* One reader more, if no writer has it and nobody waits. */
static bool take_read(struct rw_semaphore *sem)
{
	u32 old = 0;

	do {
		u32 seen = cmpxchg(&sem->state, old, old + 1);

		if (seen == old)
			return true;
		old = seen;
	} while (!(old & (RWSEM_WRITER | RWSEM_WAITERS)));
	return false;
}

static bool take_write(struct rw_semaphore *sem)
{
	if (cmpxchg(&sem->state, 0, RWSEM_WRITER) != 0)
		return false;
	WRITE_ONCE(sem->owner, (u64)current);
	return true;
}

void down_read(struct rw_semaphore *sem)
{
	might_sleep();
	check_not_own(sem);
	task_keeps_cpu();
	if (!take_read(sem))
		wait_in_line(sem, false);
	machine_lock_acquired(&sem->state, LOCK_SHARED);
}

bool down_read_trylock(struct rw_semaphore *sem)
{
	bool taken = take_read(sem);

	if (!taken)
		return false;
	task_keeps_cpu();
	machine_lock_acquired(&sem->state, LOCK_SHARED | LOCK_TRY);
	return true;
}

void up_read(struct rw_semaphore *sem)
{
	u32 left;

	machine_lock_released(&sem->state);
	left = atomic_sub_return(1, &sem->state);
	if (unlikely(!((left + 1) & ~(RWSEM_WRITER | RWSEM_WAITERS))))
		report_finding(FINDING_BAD_STATE, NULL, (u64)sem, left + 1, 1);
	task_lets_cpu_go();
	if (left == RWSEM_WAITERS)
		wake_waiters(sem);
}

void down_write(struct rw_semaphore *sem)
{
	might_sleep();
	check_not_own(sem);
	task_keeps_cpu();
	if (!take_write(sem))
		wait_in_line(sem, true);
	machine_lock_acquired(&sem->state, 0);
}

bool down_write_trylock(struct rw_semaphore *sem)
{
	bool taken = take_write(sem);

	if (!taken)
		return false;
	task_keeps_cpu();
	machine_lock_acquired(&sem->state, LOCK_TRY);
	return true;
}

void up_write(struct rw_semaphore *sem)
{
	machine_lock_released(&sem->state);
	rwsem_assert_held_write(sem);
	/* Nobody's before it is free: the next writer says that it is its own. */
	WRITE_ONCE(sem->owner, 0);
	if (atomic_fetch_and(~RWSEM_WRITER, &sem->state) & RWSEM_WAITERS)
		wake_waiters(sem);
	task_lets_cpu_go();
}

void downgrade_write(struct rw_semaphore *sem)
{
	rwsem_assert_held_write(sem);
	machine_lock_released(&sem->state);
	machine_lock_acquired(&sem->state, LOCK_SHARED | LOCK_TRY);
	WRITE_ONCE(sem->owner, 0);
	/* From alone to one reader at once: no writer comes between. */
	if (atomic_fetch_add(1 - RWSEM_WRITER, &sem->state) & RWSEM_WAITERS)
		wake_waiters(sem);
}

__passed_over void rwsem_assert_held(const struct rw_semaphore *sem)
{
	if (unlikely(!rwsem_is_locked(sem)))
		report_finding(FINDING_BAD_STATE, NULL, (u64)sem, READ_ONCE(sem->state), 1);
}

__passed_over void rwsem_assert_held_write(const struct rw_semaphore *sem)
{
	if (unlikely(READ_ONCE(sem->owner) != (u64)current))
		report_finding(FINDING_BAD_STATE, NULL, (u64)sem, READ_ONCE(sem->owner),
			       (u64)current);
}
