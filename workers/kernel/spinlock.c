// SPDX-License-Identifier: MIT
/* Spinlocks: whoever waits gives its core away, since the holder may need it. */
#include <finding.h>
#include <kernel/sched.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>

void raw_spin_lock(u32 *owner)
{
	u32 me = smp_processor_id() + 1;

	while (cmpxchg(owner, 0, me) != 0) {
		u32 holder = READ_ONCE(*owner);

		if (!holder)
			continue;
		/* A holder on this CPU can only go on when we return: never. */
		if (holder == me)
			report_finding(FINDING_DEADLOCK, NULL, current->index,
				       WAIT_SPINLOCK, (u64)owner, 1);
		struct wait_note before = wait_begin(WAIT_SPINLOCK, owner, holder);

		machine_relax_while(owner, holder);
		wait_end(before);
	}
	machine_lock_acquired(owner, 0);
}

void raw_spin_unlock(u32 *owner)
{
	machine_lock_released(owner);
	smp_store_release(owner, 0);
	machine_wake(owner);
}

void spin_lock(spinlock_t *lock)
{
	preempt_disable();
	raw_spin_lock(&lock->owner);
}

bool spin_trylock(spinlock_t *lock)
{
	preempt_disable();
	if (cmpxchg(&lock->owner, 0, smp_processor_id() + 1) == 0) {
		machine_lock_acquired(&lock->owner, LOCK_TRY);
		return true;
	}
	preempt_enable();
	return false;
}

void spin_unlock(spinlock_t *lock)
{
	raw_spin_unlock(&lock->owner);
	preempt_enable();
}

u32 spin_lock_irqsave(spinlock_t *lock)
{
	u32 flags = local_irq_save();

	spin_lock(lock);
	return flags;
}

void spin_unlock_irqrestore(spinlock_t *lock, u32 flags)
{
	u32 work;

	raw_spin_unlock(&lock->owner);
	/* Still with interrupts off: one that comes later finds all that it looks at in order. */
	preempt_enable_no_resched();
	if (flags)
		return;
	/* What is set later is seen to by the interrupt that sets it. */
	work = READ_ONCE(this_cpu()->preempt_work);
	local_irq_enable();
	if (unlikely(work) && !preempt_count())
		preempt_slowpath();
}

bool spin_trylock_irqsave(spinlock_t *lock, u32 *flags)
{
	*flags = local_irq_save();
	if (spin_trylock(lock))
		return true;
	local_irq_restore(*flags);
	return false;
}

__passed_over void assert_spin_locked(const spinlock_t *lock)
{
	u32 owner = READ_ONCE(lock->owner);

	if (unlikely(owner != smp_processor_id() + 1))
		report_finding(FINDING_BAD_STATE, NULL, (u64)lock, owner, smp_processor_id() + 1);
}

void spin_lock_bh(spinlock_t *lock)
{
	local_bh_disable();
	spin_lock(lock);
}

void spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock(lock);
	local_bh_enable();
}
