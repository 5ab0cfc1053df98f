/* SPDX-License-Identifier: MIT */
/*
 * Timers: a function that runs in a softirq, once jiffies have come to @expires, on the CPU that
 * armed the timer. Named and used as in Linux.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include <jiffies.h>
#include <kernel/sched.h>

struct timer_list {
	struct list_head entry; /* of its base; next is NULL while it is not pending */
	u64 expires;          /* jiffies; under the base's lock */
	void (*function)(struct timer_list *timer); /* NULL = shut down; under the base's lock */
	u32 flags;            /* TIMER_*, and the CPU of its base; see lock_base() */
};

#define TIMER_CPUMASK 0x3fU
#define TIMER_MIGRATING 0x40U /* between two bases, and of neither */
#define TIMER_IRQSAFE 0x80U   /* its function runs with interrupts off */
#define TIMER_PINNED 0x100U   /* mod_timer() leaves it on its CPU */

static_assert(MAX_CPUS <= TIMER_CPUMASK + 1, "a timer's flags hold its CPU");

#define __TIMER_INITIALIZER(timer_function, timer_flags) \
	{ .function = (timer_function), .flags = (timer_flags) }
#define DEFINE_TIMER(name, timer_function) \
	struct timer_list name = __TIMER_INITIALIZER(timer_function, 0)

/* @timer is not armed; its flags are TIMER_IRQSAFE, TIMER_PINNED or 0. */
void timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), u32 flags);
/* The same of a timer in the stack, which is deleted before its function returns. */
void timer_setup_on_stack(struct timer_list *timer, void (*function)(struct timer_list *timer),
			  u32 flags);
#define from_timer(var, callback_timer, field) \
	container_of(callback_timer, __typeof__(*(var)), field)
#define timer_container_of from_timer

/* It is armed and its function has not begun. Without a lock: true or false a moment ago. */
static inline bool timer_pending(const struct timer_list *timer)
{
	return READ_ONCE(timer->entry.next) != NULL;
}

/*
 * Arm it, or let it expire at another time. True = it was pending. A timer that was shut down
 * stays so. Any context but an NMI.
 */
bool mod_timer(struct timer_list *timer, u64 expires);
/* The same if it is pending; else nothing. */
bool mod_timer_pending(struct timer_list *timer, u64 expires);
/* Earlier, if it is pending; or arm it. Later, likewise. */
bool timer_reduce(struct timer_list *timer, u64 expires);

/* Arm it for timer->expires; it is not pending. */
void add_timer(struct timer_list *timer);
/* The same on @cpu, where it stays until it is armed again. */
void add_timer_on(struct timer_list *timer, int cpu);

/* Not pending any more, though its function may run. True = it was pending. Any context. */
bool timer_delete(struct timer_list *timer);
/* The same, and it cannot be armed again until timer_setup(). */
bool timer_shutdown(struct timer_list *timer);

/*
 * Not pending, and its function does not run. It may be armed again by whoever can; after
 * timer_shutdown_sync() by nobody. Not by its own function, and no lock is held that
 * it takes. Context: no interrupt, unless it is TIMER_IRQSAFE.
 */
__passed_over bool timer_delete_sync(struct timer_list *timer);
__passed_over bool timer_shutdown_sync(struct timer_list *timer);
/* Like timer_delete_sync() where nobody has to wait: -1 = its function runs, nothing was done. */
int timer_delete_sync_try(struct timer_list *timer);

#define MAX_SCHEDULE_TIMEOUT (~0UL >> 1)

/*
 * schedule() until somebody wakes the task, or @timeout ticks have passed. The caller has said
 * set_current_blocked(). Returns the ticks that were left, 0 = it timed out.
 */
u64 schedule_timeout(u64 timeout);
/* The same, with set_current_blocked(): nobody else knows of it. */
u64 schedule_timeout_uninterruptible(u64 timeout);
/* At least so long. May sleep. */
void msleep(u32 ms);

/* Called by cpu_hotplug.c: @cpu is down, and its timers expire on this one. */
void timers_dead_cpu(u32 cpu);
/* Called by irq.c with interrupts off: the moment has come, or another CPU has armed a timer. */
void timer_interrupt(void);
void timers_init(void);

#endif
