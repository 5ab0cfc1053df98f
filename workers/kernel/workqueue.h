/* SPDX-License-Identifier: MIT */
/*
 * Workqueues: functions that kernel threads run, in the order in which they were queued. Named and
 * used as in Linux.
 *
 * What is queued for a CPU is run there, by its workers: one at a time, unless it sleeps; then
 * another one goes on, of up to POOL_WORKERS. Works that all sleep for each other, more of them
 * than that, stand still. Work of a WQ_UNBOUND queue is run by workers of several CPUs.
 * An item never runs twice at the same time, if it is queued on one queue only.
 */
#ifndef KERNEL_WORKQUEUE_H
#define KERNEL_WORKQUEUE_H

#include <kernel/timer.h>

#define POOL_WORKERS 8        /* of a CPU, and of all unbound queues together, at most */

#define WORK_PENDING 0x1      /* queued, by whomever, and its function has not begun */
#define WORK_QUEUED 0x2       /* it stands on a list */
#define WORK_TRANSIT 0x4      /* whoever made it pending is about to put it somewhere */
#define WORK_CANCELING 0x8    /* it is pending so that nobody can queue it */
#define WORK_INACTIVE 0x10    /* its queue has max_active of them under way already */

struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

struct work_struct {
	u32 flags;            /* WORK_*; atomic: who made it pending writes all others */
	u32 pool;             /* that it is, or was last, queued at + 1; 0 = none; its lock */
	struct pool_workqueue *pwq; /* that it is queued for; under the lock of the pool */
	u32 color;            /* see flush_workqueue(); likewise */
	struct list_head entry; /* likewise */
	work_func_t func;
};

struct delayed_work {
	struct work_struct work;
	struct timer_list timer;
	struct workqueue_struct *wq; /* and cpu: where the timer puts it; who made it pending */
	int cpu;
};

#define __WORK_INITIALIZER(function) { .func = (function) }
#define DECLARE_WORK(name, function) struct work_struct name = __WORK_INITIALIZER(function)
#define DECLARE_DELAYED_WORK(name, function) \
	struct delayed_work name = { \
		.work = __WORK_INITIALIZER(function), \
		.timer = __TIMER_INITIALIZER(delayed_work_timer_fn, TIMER_IRQSAFE), \
	}
#define INIT_WORK(work, function) init_work(work, function)
#define INIT_DELAYED_WORK(dwork, function) init_delayed_work(dwork, function)
#define to_delayed_work(item) container_of(item, struct delayed_work, work)

void init_work(struct work_struct *work, work_func_t func);
void init_delayed_work(struct delayed_work *dwork, work_func_t func);
void delayed_work_timer_fn(struct timer_list *timer);

#define WQ_UNBOUND 0x2        /* on whichever CPU; else on the one that queues it */
#define WQ_MEM_RECLAIM 0x8    /* no difference: there are always two workers */
#define WQ_HIGHPRI 0x10       /* no difference */
#define WORK_CPU_UNBOUND (-1) /* where the caller is */

/* Of all: made by workqueue_start(). */
extern struct workqueue_struct *system_wq, *system_unbound_wq;

/*
 * Make the workers of all CPUs, and the system's queues, unless they are there. Context: task,
 * may sleep, without the lock of the set of CPUs. alloc_workqueue() does it, too.
 *
 * A CPU goes down when all its works have run; who queues on it meanwhile, or while it is down,
 * has queued on CPU 0.
 */
void workqueue_start(void);

/* Runs at most @max_active items at a time on each CPU (WQ_UNBOUND: in all); 0 = any. Or NULL. */
struct workqueue_struct *alloc_workqueue(const char *name, u32 flags, u32 max_active);
/* One item at a time, in the order in which they were queued. */
struct workqueue_struct *alloc_ordered_workqueue(const char *name, u32 flags);
/* Runs all that is queued, also by what runs; then it is gone. Nobody else queues any more. */
void destroy_workqueue(struct workqueue_struct *wq);

/*
 * False = it was pending already: its function sees what the caller wrote before. It is not
 * pending when its function begins, which may queue it again. Any context but an NMI.
 */
bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *work);
bool schedule_work(struct work_struct *work);
bool schedule_work_on(int cpu, struct work_struct *work);

/* Likewise after @delay ticks, by a timer of the caller's CPU, or of @cpu. */
bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork, u64 delay);
bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,
			   u64 delay);
bool schedule_delayed_work(struct delayed_work *dwork, u64 delay);
/* Also if it is pending; true = it was, or it is being cancelled, and stays so. */
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork, u64 delay);
bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,
			 u64 delay);

/* Return when @work, as it was queued last, has run. False = it was idle. May sleep. */
__passed_over bool flush_work(struct work_struct *work);
/* The same at once, if only its timer is to come. */
__passed_over bool flush_delayed_work(struct delayed_work *dwork);
/* Return when all that was queued on @wq before has run. May sleep. */
__passed_over void flush_workqueue(struct workqueue_struct *wq);
/* The same, also of what they have queued in turn. */
__passed_over void drain_workqueue(struct workqueue_struct *wq);

/* Not pending any more, though it may run. True = it was pending. Any context but an NMI. */
bool cancel_work(struct work_struct *work);
bool cancel_delayed_work(struct delayed_work *dwork);
/* And it does not run; meanwhile nobody can queue it, its function neither. May sleep. */
__passed_over bool cancel_work_sync(struct work_struct *work);
__passed_over bool cancel_delayed_work_sync(struct delayed_work *dwork);

static inline bool work_pending(const struct work_struct *work)
{
	return READ_ONCE(work->flags) & WORK_PENDING;
}

#define delayed_work_pending(dwork) work_pending(&(dwork)->work)

#define WORK_BUSY_PENDING 0x1
#define WORK_BUSY_RUNNING 0x2
/* WORK_BUSY_*, or 0: a moment ago. */
u32 work_busy(struct work_struct *work);

/* Run @func on each online CPU, in a worker; return when all have. 0 or -ENOMEM. May sleep. */
int schedule_on_each_cpu(work_func_t func);

#endif
