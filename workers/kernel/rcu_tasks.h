/* SPDX-License-Identifier: MIT */
/*
 * RCU whose reader is whatever a task does between two voluntary switches: it marks nothing,
 * and is a reader also while it is preempted.
 */
#ifndef KERNEL_RCU_TASKS_H
#define KERNEL_RCU_TASKS_H

#include <kernel/rcu.h>

/*
 * Return when every task that could run has switched by itself, or ended, since this was
 * called, and every interrupt that had begun. What idle tasks do is not waited for: see
 * synchronize_rcu_tasks_rude(). May sleep.
 */
void synchronize_rcu_tasks(void);

/* Run head->func(head) after such a grace period, from a task. Any context. */
void call_rcu_tasks(struct rcu_head *head, rcu_callback_t func);

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier_tasks(void);

/* Before the first callback: make the kernel thread that runs them, if there is none. Task. */
void rcu_tasks_start(void);

/* A task that goes on for long says that it might as well have switched, and lets others run. */
void cond_resched_tasks_rcu_qs(void);

/* Called by the scheduler when a task switches by itself. */
void rcu_tasks_qs(void);

/*
 * A task that waits for others without giving its CPU up is in no reader meanwhile.
 * Context: task; the two belong together.
 */
void rcu_tasks_wait_begin(void);
void rcu_tasks_wait_end(void);

/* A task that holds a grace period, or one of tasks-trace; NULL = none. For who reports. */
const struct task_struct *rcu_tasks_holder(void);
const struct task_struct *rcu_tasks_trace_holder(void);

#endif
