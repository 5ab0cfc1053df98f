/* SPDX-License-Identifier: MIT */
/* Sleeping locks: first come, first served. */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include <kernel/spinlock.h>
#include <list.h>

struct mutex {
	u64 owner;            /* struct task_struct *; 0 = free; atomic */
	spinlock_t wait_lock;
	u32 nr_waiters;       /* on the list; under wait_lock, read by unlock */
	struct list_head waiters; /* struct mutex_waiter, under wait_lock */
};

#define MUTEX_INIT(name) { .waiters = LIST_HEAD_INIT((name).waiters) }
#define DEFINE_MUTEX(name) struct mutex name = MUTEX_INIT(name)

void mutex_init(struct mutex *lock);
__passed_over void mutex_lock(struct mutex *lock);
__passed_over bool mutex_trylock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);
bool mutex_is_held(const struct mutex *lock);   /* by the running task */

#endif
