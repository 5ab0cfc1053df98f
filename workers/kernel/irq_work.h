/* SPDX-License-Identifier: MIT */
/*
 * Run a function in an interrupt of this CPU, as soon as one can come. What several CPUs queue may
 * run on several at the same time: it is pending no more when its function begins.
 */
#ifndef KERNEL_IRQ_WORK_H
#define KERNEL_IRQ_WORK_H

#include <irqflags.h>
#include <list.h>

#define IRQ_WORK_PENDING 0x1  /* queued, and its function has not begun */
#define IRQ_WORK_BUSY 0x2     /* times that it is queued, or its function runs: a count from here */

struct irq_work {
	struct llist_node llist;
	u32 flags;            /* IRQ_WORK_*; atomic, 0 = idle */
	void (*func)(struct irq_work *work);
};

#define IRQ_WORK_INIT(function) { .func = (function) }
#define DEFINE_IRQ_WORK(name, function) struct irq_work name = IRQ_WORK_INIT(function)

static inline void init_irq_work(struct irq_work *work, void (*func)(struct irq_work *work))
{
	*work = (struct irq_work)IRQ_WORK_INIT(func);
}

static inline bool irq_work_is_pending(const struct irq_work *work)
{
	return READ_ONCE(work->flags) & IRQ_WORK_PENDING;
}

static inline bool irq_work_is_busy(const struct irq_work *work)
{
	return READ_ONCE(work->flags);
}

/*
 * Its function runs with interrupts off. False = it is pending already, and what the caller
 * wrote before is seen by the run that comes. Any context, also an NMI or under a run queue's lock.
 */
bool irq_work_queue(struct irq_work *work);
/* The same on another CPU. Not in an NMI. */
bool irq_work_queue_on(struct irq_work *work, int cpu);

/* Return when it neither is queued nor runs, unless somebody queues it again. Interrupts are on. */
void irq_work_sync(struct irq_work *work);

/* Called by irq.c with interrupts off: run what is queued for this CPU. */
void irq_work_run(void);

#endif
