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

/*
 * @task serves its own CPU alone: it goes on running while that is taken down, until it is
 * parked or the CPU is offline. Who wakes it then, is heard when the CPU is up.
 */
void kthread_set_per_cpu(struct task_struct *task);

/*
 * Ask @task to park, and wait until it has: its loop tests kthread_should_park(), and calls
 * kthread_parkme(), which returns when somebody has called kthread_unpark(). Of the running
 * task: it does so later. 0; -ENOSYS: it has ended; -EBUSY: it has been asked already.
 * Context: task, may sleep; one caller at a time for each task.
 */
int kthread_park(struct task_struct *task);
void kthread_unpark(struct task_struct *task);
bool kthread_should_park(void);
void kthread_parkme(void);

#endif
