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
void reinit_completion(struct completion *x);
void wait_for_completion(struct completion *x);
bool completion_done(struct completion *x);
void complete(struct completion *x);
void complete_all(struct completion *x);

#endif
