/* SPDX-License-Identifier: MIT */
/* Spinlocks: held with preemption off; the holder is kept for reports. */
#ifndef KERNEL_SPINLOCK_H
#define KERNEL_SPINLOCK_H

#include <irqflags.h>

typedef struct {
	u32 owner;            /* CPU + 1; 0 = free.  Written by who takes and who frees it. */
} spinlock_t;

#define DEFINE_SPINLOCK(name) spinlock_t name

static inline void spin_lock_init(spinlock_t *lock)
{
	WRITE_ONCE(lock->owner, 0);
	machine_lock_made(&lock->owner);
}

static inline bool spin_is_locked(const spinlock_t *lock)
{
	return READ_ONCE(lock->owner);
}

/* Without preemption control: for who has interrupts off already (the scheduler). */
__passed_over void raw_spin_lock(u32 *owner);
void raw_spin_unlock(u32 *owner);

__passed_over void spin_lock(spinlock_t *lock);
__passed_over bool spin_trylock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
__passed_over u32 spin_lock_irqsave(spinlock_t *lock);
void spin_unlock_irqrestore(spinlock_t *lock, u32 flags);
__passed_over bool spin_trylock_irqsave(spinlock_t *lock, u32 *flags);

/* Report who relies on the lock and does not hold it, on this CPU. */
void assert_spin_locked(const spinlock_t *lock);
/* The same of what softirqs take, too: they do not come in between. Interrupts are on. */
__passed_over void spin_lock_bh(spinlock_t *lock);
void spin_unlock_bh(spinlock_t *lock);

#endif
