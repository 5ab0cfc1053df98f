/* SPDX-License-Identifier: MIT */
/* Wait for something to be done by somebody else. */
#ifndef KERNEL_COMPLETION_H
#define KERNEL_COMPLETION_H

#include <kernel/spinlock.h>
#include <list.h>

#define COMPLETION_ALL 0xffffffffU

struct completion {
	u32 done;             /* completions not yet consumed; COMPLETION_ALL = for ever */
	spinlock_t lock;      /* interrupts off */
	struct list_head waiters; /* struct completion_waiter, under lock */
};

#define COMPLETION_INIT(name) { .waiters = LIST_HEAD_INIT((name).waiters) }
#define DECLARE_COMPLETION(name) struct completion name = COMPLETION_INIT(name)

void init_completion(struct completion *x);
/* To be completed anew. Nobody waits, and who was woken by complete_all() has returned. */
void reinit_completion(struct completion *x);
void wait_for_completion(struct completion *x);
/* True if there was a completion to take, without waiting. Any context. */
bool try_wait_for_completion(struct completion *x);
/* At most @timeout ticks; returns what was left of them, at least 1, or 0 = it timed out. */
u64 wait_for_completion_timeout(struct completion *x, u64 timeout);
bool completion_done(struct completion *x);
/* One waiter, or the next one that comes, goes on. */
void complete(struct completion *x);
/* All waiters go on, and whoever comes later, until it is made to be completed anew. */
void complete_all(struct completion *x);

#endif
