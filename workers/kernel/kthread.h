/* SPDX-License-Identifier: MIT */
/* Make, stop and bind tasks. */
#ifndef KERNEL_KTHREAD_H
#define KERNEL_KTHREAD_H

#include <kernel/sched.h>

/* A new task that runs @function(@argument) on @cpu, at once; NULL = no slot or no CPU. */
struct task_struct *kthread_run(int cpu, s64 (*function)(void *), void *argument,
				const char *name);
/* Same, for the harness: the run is finished when all of them have ended. */
struct task_struct *user_task_run(int cpu, s64 (*function)(void *), void *argument,
				  const char *name);
struct task_struct *task_create(int cpu, enum task_class class, s64 (*function)(void *),
				void *argument, const char *name);

/* Ask @task to end; its loop tests kthread_should_stop(). */
void kthread_stop(struct task_struct *task);
bool kthread_should_stop(void);

#endif
