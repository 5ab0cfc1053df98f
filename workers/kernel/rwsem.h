/* SPDX-License-Identifier: MIT */
/* Sleeping locks for many readers or one writer: first come, first served. */
#ifndef KERNEL_RWSEM_H
#define KERNEL_RWSEM_H

#include <kernel/spinlock.h>
#include <list.h>

#define RWSEM_WRITER 0x80000000U  /* a writer holds it */
#define RWSEM_WAITERS 0x40000000U /* somebody is on the list: no newcomer goes before */

struct rw_semaphore {
	u32 state;            /* RWSEM_* and the number of readers; 0 = free; atomic */
	spinlock_t wait_lock;
	u64 owner;            /* struct task_struct * of the writer; 0 = none; it writes */
	struct list_head waiters; /* struct rwsem_waiter, under wait_lock */
};

#define RWSEM_INIT(name) { .waiters = LIST_HEAD_INIT((name).waiters) }
#define DEFINE_RWSEM(name) struct rw_semaphore name = RWSEM_INIT(name)

/*
 * A reader that comes while a writer waits, waits behind it: so who holds it for reading
 * must not take it again. Context: task, may sleep.
 */
__passed_over void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
__passed_over void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);

void init_rwsem(struct rw_semaphore *sem);
/* False instead of waiting, also for who came before. Any task. */
__passed_over bool down_read_trylock(struct rw_semaphore *sem);
__passed_over bool down_write_trylock(struct rw_semaphore *sem);
/* The writer goes on as a reader: nobody writes in between, and readers that wait come in. */
void downgrade_write(struct rw_semaphore *sem);

/* By anybody, for reading or for writing. */
static inline bool rwsem_is_locked(const struct rw_semaphore *sem)
{
	return READ_ONCE(sem->state) & ~RWSEM_WAITERS;
}

/* Somebody waits. */
static inline bool rwsem_is_contended(const struct rw_semaphore *sem)
{
	return READ_ONCE(sem->state) & RWSEM_WAITERS;
}

/* Report who relies on it while nobody holds it; for writing: while the caller does not. */
void rwsem_assert_held(const struct rw_semaphore *sem);
void rwsem_assert_held_write(const struct rw_semaphore *sem);

#endif
