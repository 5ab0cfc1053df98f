/* SPDX-License-Identifier: MIT */
/*
 * RCU whose reader is any region with preemption or interrupts off, also where RCU does not
 * watch: what an idle task does between two switches is such a region as a whole.
 */
#ifndef KERNEL_RCU_TASKS_RUDE_H
#define KERNEL_RCU_TASKS_RUDE_H

#include <kernel/rcu.h>

/*
 * Return when every reader that had begun has ended: each CPU has switched to another task.
 * Context: task, may sleep; takes the lock of the set of CPUs for reading.
 */
void synchronize_rcu_tasks_rude(void);

/* Run head->func(head) after such a grace period, from a task. Any context. */
void call_rcu_tasks_rude(struct rcu_head *head, rcu_callback_t func);

/* Return when every callback queued before has run. May sleep. */
void rcu_barrier_tasks_rude(void);

/* Before the first callback: make the kernel thread that runs them, if there is none. Task. */
void rcu_tasks_rude_start(void);

#endif
