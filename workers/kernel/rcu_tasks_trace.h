/* SPDX-License-Identifier: MIT */
/* RCU whose readers say where they begin and end, and may sleep and be preempted in between. */
#ifndef KERNEL_RCU_TASKS_TRACE_H
#define KERNEL_RCU_TASKS_TRACE_H

#include <kernel/rcu.h>

/*
 * A reader of the running task begins, and ends. They nest, also in interrupts, whose readers
 * are those of the task that was interrupted. Not where RCU does not watch.
 */
void rcu_read_lock_trace(void);
void rcu_read_unlock_trace(void);

/* Return when every reader that had begun has ended; RCU's own have, too. May sleep. */
void synchronize_rcu_tasks_trace(void);

/* Run head->func(head) after such a grace period, from a task. Any context. */
void call_rcu_tasks_trace(struct rcu_head *head, void (*func)(struct rcu_head *head));

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier_tasks_trace(void);

/* Before the first callback: make the kernel thread that runs them, if there is none. Task. */
void rcu_tasks_trace_start(void);

#endif
