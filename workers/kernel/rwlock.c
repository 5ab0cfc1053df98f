// SPDX-License-Identifier: MIT
/*
 * The counts are enough while nobody waits. Who has to wait takes a turn; whose turn
 * it is waits for the writer to leave, or for all readers. So of a stream of readers
 * the first that waits lets the writer before it go first, and nobody starves.
 *
 * Source: the algorithm of kernel/locking/qrwlock.c (v6.12); turns instead of a queue.
 */
#include <finding.h>
#include <kernel/rwlock.h>
#include <kernel/sched.h>

void rwlock_init(rwlock_t *lock)
{
	*lock = (rwlock_t)RW_LOCK_UNLOCKED;
	machine_lock_made(&lock->counts);
}

static u32 me(void)
{
	return smp_processor_id() + 1;
}

static __passed_over struct wait_note wait_for(const rwlock_t *lock)
{
	return wait_begin(WAIT_RWLOCK, lock, READ_ONCE(lock->writer));
}

/* Until none of @bits is set; what was done before that is seen. */
static __passed_over void wait_until_clear(const rwlock_t *lock, u32 bits)
{
	struct wait_note before;

	if (!(smp_load_acquire(&lock->counts) & bits))
		return;
	before = wait_for(lock);
	machine_wait_clear(&lock->counts, bits);
	wait_end(before);
}

/* A writer on this CPU can only go on when we return: never. */
static __passed_over void check_not_own(const rwlock_t *lock)
{
	if (unlikely(READ_ONCE(lock->writer) == me()))
		report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_RWLOCK, (u64)lock, 1);
}

static __passed_over void wait_for_turn(rwlock_t *lock)
{
	u32 mine = atomic_fetch_add(1, &lock->next), seen;

	/* What was done in the turn before comes first; pairs with end_turn(). */
	while ((seen = smp_load_acquire(&lock->turn)) != mine) {
		struct wait_note before = wait_for(lock);

		machine_relax_while(&lock->turn, seen);
		wait_end(before);
	}
}

static void end_turn(rwlock_t *lock)
{
	smp_store_release(&lock->turn, lock->turn + 1);
	machine_wake(&lock->turn);
}

/* One reader less: a writer may wait for the last of them. */
static void drop_reader(rwlock_t *lock)
{
	if (atomic_sub_return(RWLOCK_READER, &lock->counts) & RWLOCK_WAITS)
		machine_wake(&lock->counts);
}

/* As in Linux also where softirqs are off. */
static bool may_recurse(void)
{
	return in_interrupt() || in_softirq();
}

/* It is counted, and a writer has the lock or waits for it. */
static __passed_over void read_slowpath(rwlock_t *lock)
{
	check_not_own(lock);
	if (may_recurse()) {
		wait_until_clear(lock, RWLOCK_HELD);
		return;
	}
	drop_reader(lock);
	wait_for_turn(lock);
	atomic_add_return(RWLOCK_READER, &lock->counts);
	wait_until_clear(lock, RWLOCK_HELD);
	end_turn(lock);
}

static u32 reader_flags(void)
{
	return may_recurse() ? LOCK_SHARED | LOCK_RECURSIVE : LOCK_SHARED;
}

void read_lock(rwlock_t *lock)
{
	u32 counts;

	preempt_disable();
	counts = atomic_add_return(RWLOCK_READER, &lock->counts);
	if (unlikely(counts & (RWLOCK_HELD | RWLOCK_WAITS)))
		read_slowpath(lock);
	machine_lock_acquired(&lock->counts, reader_flags());
}

bool read_trylock(rwlock_t *lock)
{
	u32 counts;

	preempt_disable();
	counts = READ_ONCE(lock->counts);
	while (!(counts & (RWLOCK_HELD | RWLOCK_WAITS))) {
		u32 seen = cmpxchg(&lock->counts, counts, counts + RWLOCK_READER);

		if (seen == counts) {
			machine_lock_acquired(&lock->counts, LOCK_SHARED | LOCK_TRY);
			return true;
		}
		counts = seen;
	}
	preempt_enable();
	return false;
}

void read_unlock(rwlock_t *lock)
{
	machine_lock_released(&lock->counts);
	if (unlikely(READ_ONCE(lock->counts) < RWLOCK_READER))
		report_finding(FINDING_BAD_STATE, NULL, (u64)lock, READ_ONCE(lock->counts),
			       RWLOCK_READER);
	drop_reader(lock);
	preempt_enable();
}

static __passed_over void write_slowpath(rwlock_t *lock)
{
	check_not_own(lock);
	wait_for_turn(lock);
	atomic_fetch_or(RWLOCK_WAITS, &lock->counts);
	do {
		wait_until_clear(lock, ~RWLOCK_WAITS);
	} while (cmpxchg(&lock->counts, RWLOCK_WAITS, RWLOCK_HELD) != RWLOCK_WAITS);
	end_turn(lock);
}

static void now_mine(rwlock_t *lock, u32 flags)
{
	WRITE_ONCE(lock->writer, me());
	machine_lock_acquired(&lock->counts, flags);
}

void write_lock(rwlock_t *lock)
{
	preempt_disable();
	if (cmpxchg(&lock->counts, 0, RWLOCK_HELD) != 0)
		write_slowpath(lock);
	now_mine(lock, 0);
}

bool write_trylock(rwlock_t *lock)
{
	preempt_disable();
	if (cmpxchg(&lock->counts, 0, RWLOCK_HELD) == 0) {
		now_mine(lock, LOCK_TRY);
		return true;
	}
	preempt_enable();
	return false;
}

static void release_writer(rwlock_t *lock)
{
	machine_lock_released(&lock->counts);
	if (unlikely(READ_ONCE(lock->writer) != me()))
		report_finding(FINDING_BAD_STATE, NULL, (u64)lock, READ_ONCE(lock->writer), me());
	/* Nobody's before it is free: the next writer says that it is its own. */
	WRITE_ONCE(lock->writer, 0);
	/* What was written before the lock is free; pairs with who takes it. */
	smp_store_release(&lock->held, 0);
	machine_wake(&lock->counts);
}

void write_unlock(rwlock_t *lock)
{
	release_writer(lock);
	preempt_enable();
}

u32 read_lock_irqsave(rwlock_t *lock)
{
	u32 flags = local_irq_save();

	read_lock(lock);
	return flags;
}

void read_unlock_irqrestore(rwlock_t *lock, u32 flags)
{
	machine_lock_released(&lock->counts);
	drop_reader(lock);
	local_irq_restore(flags);
	preempt_enable();
}

u32 write_lock_irqsave(rwlock_t *lock)
{
	u32 flags = local_irq_save();

	write_lock(lock);
	return flags;
}

void write_unlock_irqrestore(rwlock_t *lock, u32 flags)
{
	release_writer(lock);
	local_irq_restore(flags);
	preempt_enable();
}
