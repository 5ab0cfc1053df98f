/* SPDX-License-Identifier: MIT */
/* Spinning locks for many readers or one writer: whoever waits is served in turn. */
#ifndef KERNEL_RWLOCK_H
#define KERNEL_RWLOCK_H

#include <kernel/softirq.h>

/* The word: whether a writer holds it, whether one waits for the readers, and the readers. */
#define RWLOCK_HELD 0xffU
#define RWLOCK_WAITS 0x100U
#define RWLOCK_READER 0x200U  /* for each of them */

typedef struct {
	union {
		u32 counts;   /* RWLOCK_*; 0 = free; atomic */
		u8 held;      /* its lowest byte: the writer clears it */
	};
	u32 next;             /* the next turn to be given out; atomic */
	u32 turn;             /* whose it is; who has it adds 1, those that wait read */
	u32 writer;           /* CPU + 1; 0 = none.  The writer writes, all read. */
} rwlock_t;

#define RW_LOCK_UNLOCKED { .counts = 0 }
#define DEFINE_RWLOCK(name) rwlock_t name = RW_LOCK_UNLOCKED

void rwlock_init(rwlock_t *lock);

/*
 * A reader in an interrupt or a softirq goes before a writer that waits: it may have
 * interrupted a reader. In a task it waits behind that writer, so who reads must not read again.
 */
__passed_over void read_lock(rwlock_t *lock);
__passed_over bool read_trylock(rwlock_t *lock);
void read_unlock(rwlock_t *lock);
__passed_over u32 read_lock_irqsave(rwlock_t *lock);
void read_unlock_irqrestore(rwlock_t *lock, u32 flags);

__passed_over void write_lock(rwlock_t *lock);
__passed_over bool write_trylock(rwlock_t *lock);
void write_unlock(rwlock_t *lock);
__passed_over u32 write_lock_irqsave(rwlock_t *lock);
void write_unlock_irqrestore(rwlock_t *lock, u32 flags);

/* Softirqs are off while it is held. */
static inline void read_lock_bh(rwlock_t *lock)
{
	local_bh_disable();
	read_lock(lock);
}

static inline void read_unlock_bh(rwlock_t *lock)
{
	read_unlock(lock);
	local_bh_enable();
}

static inline void write_lock_bh(rwlock_t *lock)
{
	local_bh_disable();
	write_lock(lock);
}

static inline void write_unlock_bh(rwlock_t *lock)
{
	write_unlock(lock);
	local_bh_enable();
}

static inline bool rwlock_is_locked(const rwlock_t *lock)
{
	return READ_ONCE(lock->counts) & ~RWLOCK_WAITS;
}

/* For writing, by this CPU. */
static inline bool rwlock_is_write_held(const rwlock_t *lock)
{
	return READ_ONCE(lock->writer) == smp_processor_id() + 1;
}

#endif
