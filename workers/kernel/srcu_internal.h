/* SPDX-License-Identifier: MIT */
/* What the files of SRCU share. */
#ifndef KERNEL_SRCU_INTERNAL_H
#define KERNEL_SRCU_INTERNAL_H

#include <kernel/srcu.h>

/* States of srcu_struct.seq. */
enum { SRCU_STATE_IDLE, SRCU_STATE_SCAN1, SRCU_STATE_SCAN2 };

/* How often a scan looks before its caller sleeps. */
#define SRCU_TRIES 2
#define SRCU_TRIES_EXPEDITED 8

/* Who sleeps until a reader of a phase has left. */
struct srcu_waiter {
	struct list_head list; /* of all waiters, under their lock */
	u64 key;               /* domain and phase; never changes */
	u32 left;              /* 1 = a reader that was asked has left since */
	u32 pad;
	struct task_struct *task;
};

/*
 * True = every reader that was counted in @phase before this was called has left. Not only those:
 * who is counted while it looks may make it false.
 */
bool srcu_readers_are_gone(struct srcu_struct *ssp, u32 phase);

/* The same, up to so many times while they leave; does not sleep for them. */
bool srcu_try_readers(struct srcu_struct *ssp, u32 phase, u32 tries);

/* Sleep until one has left who is in the way of @phase. Context: task, may sleep. */
void srcu_wait_for_readers(struct srcu_struct *ssp, u32 phase);

#endif
