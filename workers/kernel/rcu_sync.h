/* SPDX-License-Identifier: MIT */
/*
 * Readers that take a fast path while nobody wants them on the slow one: whoever does
 * waits for a grace period, after which all of them are on it.
 *
 * Source: the algorithm of kernel/rcu/sync.c (v6.12).
 */
#ifndef KERNEL_RCU_SYNC_H
#define KERNEL_RCU_SYNC_H

#include <kernel/rcu.h>
#include <kernel/spinlock.h>
#include <list.h>

enum rcu_sync_state { RCU_SYNC_IDLE, RCU_SYNC_ENTER, RCU_SYNC_PASSED, RCU_SYNC_EXIT,
		      RCU_SYNC_REPLAY };

struct rcu_sync {
	u32 state;            /* enum rcu_sync_state; under lock, readers read */
	u32 count;            /* of those that want the slow path; under lock */
	spinlock_t lock;
	struct list_head waiters; /* struct rcu_sync_waiter, under lock */
	struct rcu_head head; /* of the grace period after the last one has left */
};

#define RCU_SYNC_INIT(name) { .waiters = LIST_HEAD_INIT((name).waiters) }

void rcu_sync_init(struct rcu_sync *rss);

/* The fast path may be taken. In a reader of RCU. */
static inline bool rcu_sync_is_idle(const struct rcu_sync *rss)
{
	return !READ_ONCE(rss->state);
}

/* All readers are on the slow path when this returns. May sleep; nests. */
void rcu_sync_enter(struct rcu_sync *rss);
/* Not any more, for the caller: when a grace period has passed they are on the fast one. */
void rcu_sync_exit(struct rcu_sync *rss);
/* Nobody is inside: return when no callback is on its way, so that it can be freed. May sleep. */
void rcu_sync_dtor(struct rcu_sync *rss);

#endif
