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

/*
 * True = every reader that was counted in @phase before this was called has left. Not only those:
 * who is counted while it looks may make it false.
 */
bool srcu_readers_are_gone(struct srcu_struct *ssp, u32 phase);

/* The same, up to so many times while they leave; does not sleep for them. */
bool srcu_try_readers(struct srcu_struct *ssp, u32 phase, u32 tries);

/*
 * From srcu_add_waiter() to srcu_forget_waiter(), it is told of readers of @phase that leave.
 * srcu_ask_readers() asks the CPUs where one that is in the way may leave, and returns them; it
 * is to be called again when they have told. 0 = all readers have left. Context: task, may sleep.
 */
void srcu_add_waiter(struct srcu_waiter *waiter, const struct srcu_struct *ssp, u32 phase);
u64 srcu_ask_readers(struct srcu_struct *ssp, u32 phase, struct srcu_waiter *waiter);
void srcu_forget_waiter(struct srcu_waiter *waiter);

/* Sleep until one has left who is in the way of @phase. Context: task, may sleep. */
void srcu_wait_for_readers(struct srcu_struct *ssp, u32 phase);

/*
 * Under gp_mutex: as far as it gets without sleeping for readers. True = a grace period has
 * ended; false = readers of the phase that is not the current one are in the way.
 */
bool srcu_advance_state(struct srcu_struct *ssp, u32 tries);

/* Queue the domain's work here. Any context but NMI, under no run queue's lock. */
void srcu_start_work(struct srcu_struct *ssp);

/* Return when nothing of the domain is on its way: how many callbacks have not run. May sleep. */
u64 srcu_flush_work(struct srcu_struct *ssp);

#endif
