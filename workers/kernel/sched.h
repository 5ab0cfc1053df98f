/* SPDX-License-Identifier: MIT */
/*
 * Tasks on a CPU: one runs, and the tick may preempt it at any instruction; with preempt=none,
 * only where it blocks, yields or calls cond_resched().
 */
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

/* Let others run, if there are any. With preempt=none, the caller is in no reader of RCU. */
void cond_resched(void);

/* Let everybody else on this CPU run first. May sleep; cond_park() comes first. */
void yield(void);

/*
 * A voluntary switch if this CPU is to go down: the task goes on here when it is up again.
 * Not where an RCU of tasks could be reading. May sleep.
 */
static inline void cond_park(void)
{
	if (unlikely(this_cpu()->leaving))
		schedule();
}

/*
 * Who stands in line for, or holds, what others may need, does not leave it behind on a CPU
 * that is down: until task_lets_cpu_go() the CPU stays up, and the task is not parked. May nest.
 */
static inline void task_keeps_cpu(void)
{
	current->keeps++;
}

static inline void task_lets_cpu_go(void)
{
	current->keeps--;
}

/* Report when sleeping is not allowed here. */
void might_sleep(void);

/* Called by irq.c: the tick, and the way out of an interrupt. */
void sched_tick(void);
void preempt_schedule_irq(const struct pt_regs *regs);

/* The running task notes what it waits for, for the watchdog; returns what it noted before. */
struct wait_note wait_begin(enum wait_kind kind, const void *object, u64 value);
void wait_end(struct wait_note before);

/*
 * Called by cpu_hotplug.c on the CPU itself, see enum cpu_leaving. sched_cpu_close(): -EBUSY
 * while a task can run, -EAGAIN while one that sleeps keeps the CPU: cpu->woken changes before
 * that does.
 */
void sched_cpu_asks(void);
int sched_cpu_close(void);
void sched_cpu_dying(void);
void sched_cpu_starting(void);
void sched_cpu_open(void);

/*
 * From now on idle tasks call @function: before they rest, and once more when RCU does not watch
 * any more and interrupts are off. NULL = nothing. Who changes it waits for the CPUs by himself.
 */
void set_idle_call(void (*function)(void));

/* Called by the machine: the idle task of this CPU, and a new task's first instruction. */
void cpu_idle_step(void);
void task_entry(struct task_struct *task) __attribute__((noreturn));
void sched_init(void);

#endif
