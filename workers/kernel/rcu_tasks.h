/* SPDX-License-Identifier: MIT */
/*
 * RCU whose reader is whatever a task does between two voluntary switches: it marks nothing,
 * and is a reader also while it is preempted.
 */
#ifndef KERNEL_RCU_TASKS_H
#define KERNEL_RCU_TASKS_H

#include <machine.h>

/*
 * Return when every task that could run has switched by itself, or ended, since this was
 * called; what a CPU does without a task (interrupts, idle) has ended too. May sleep.
 */
void synchronize_rcu_tasks(void);

/* A task that goes on for long says that it might as well have switched. */
void rcu_tasks_quiescent(void);

/* Called by the scheduler when a task switches by itself. */
void rcu_tasks_qs(void);

/*
 * A task that waits for others without giving its CPU up is in no reader meanwhile.
 * Context: task; the two belong together.
 */
void rcu_tasks_wait_begin(void);
void rcu_tasks_wait_end(void);

#endif
