/* SPDX-License-Identifier: MIT */
/* Tasks on a CPU: one runs, the tick may preempt it at any instruction. */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include <irqflags.h>
#include <list.h>

/* Give up the CPU; returns when this task runs again. */
void schedule(void);

/* From now on this task is not runnable, until somebody wakes it: then test, then schedule(). */
void set_current_blocked(void);
void set_current_running(void);

/* True if @task was blocked. Any context. */
bool wake_up_process(struct task_struct *task);

/* Let others run, if there are any. */
void cond_resched(void);

/* Let everybody else on this CPU run first. May sleep. */
void yield(void);

/* Report when sleeping is not allowed here. */
void might_sleep(void);

/* Called by irq.c: the tick, and the way out of an interrupt. */
void sched_tick(void);
void preempt_schedule_irq(const struct pt_regs *regs);

/* The running task notes what it waits for, for the watchdog; returns what it noted before. */
struct wait_note wait_begin(enum wait_kind kind, const void *object, u64 value);
void wait_end(struct wait_note before);

/* Called by the machine: the idle task of this CPU, and a new task's first instruction. */
void cpu_idle_step(void);
void task_entry(struct task_struct *task) __attribute__((noreturn));
void sched_init(void);

#endif
