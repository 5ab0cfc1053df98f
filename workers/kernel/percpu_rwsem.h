/* SPDX-License-Identifier: MIT */
/*
 * Sleeping locks that readers take by counting on their own CPU, in memory that no other
 * CPU writes. A writer pays for it: it waits for a grace period, and for all readers.
 *
 * Barrier letters are those of kernel/locking/percpu-rwsem.c (v6.12).
 */
#ifndef KERNEL_PERCPU_RWSEM_H
#define KERNEL_PERCPU_RWSEM_H

#include <kernel/rcu_sync.h>

/* Readers counted on one CPU, less those that have left on it; that CPU alone writes. */
struct percpu_readers {
	u64 count;            /* all of them together: how many there are */
} __cacheline_aligned;

struct percpu_rw_semaphore {
	struct rcu_sync rss;  /* idle: no writer is near, and readers only count */
	struct percpu_readers *readers; /* of each CPU */
	u32 block;            /* 1 = a writer has it, or waits for readers to leave; atomic */
	spinlock_t wait_lock;
	struct task_struct *writer; /* that waits for readers to leave; NULL = none; it writes */
	u64 owner;            /* struct task_struct * of who set block; 0 = none; it writes */
	struct list_head waiters; /* struct percpu_rwsem_waiter, under wait_lock */
};

#define PERCPU_RWSEM_INIT(name, counts) { \
	.rss = RCU_SYNC_INIT((name).rss), .readers = (counts), \
	.waiters = LIST_HEAD_INIT((name).waiters), \
}
#define __DEFINE_PERCPU_RWSEM(linkage, name) \
	static struct percpu_readers name##_readers[MAX_CPUS]; \
	linkage struct percpu_rw_semaphore name = PERCPU_RWSEM_INIT(name, name##_readers)
#define DEFINE_PERCPU_RWSEM(name) __DEFINE_PERCPU_RWSEM(, name)
#define DEFINE_STATIC_PERCPU_RWSEM(name) __DEFINE_PERCPU_RWSEM(static, name)

/* -ENOMEM: no memory for the counts. */
int percpu_init_rwsem(struct percpu_rw_semaphore *sem);
/* Nobody has it, nor will. May sleep. */
void percpu_free_rwsem(struct percpu_rw_semaphore *sem);

/*
 * A reader that comes while a writer has it or waits for readers, waits: so who holds it
 * for reading must not take it again. Context: task, may sleep; each is left by the task
 * that took it.
 */
__passed_over void percpu_down_read(struct percpu_rw_semaphore *sem);
__passed_over bool percpu_down_read_trylock(struct percpu_rw_semaphore *sem);
void percpu_up_read(struct percpu_rw_semaphore *sem);
__passed_over void percpu_down_write(struct percpu_rw_semaphore *sem);
void percpu_up_write(struct percpu_rw_semaphore *sem);

/* By anybody; as it was at some moment of the call. */
bool percpu_is_read_locked(const struct percpu_rw_semaphore *sem);

static inline bool percpu_is_write_locked(const struct percpu_rw_semaphore *sem)
{
	return READ_ONCE(sem->block);
}

/* For reading or for writing. */
bool percpu_rwsem_is_held(const struct percpu_rw_semaphore *sem);

#endif
