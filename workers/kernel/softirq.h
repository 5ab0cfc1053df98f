/* SPDX-License-Identifier: MIT */
/*
 * Softirqs: what an interrupt leaves for when it is done, with interrupts on. They run on the
 * CPU that raised them, one after the other, are not nested and not preempted: at the end of
 * the outermost interrupt, when they are turned on again, or where the CPU has nothing to do.
 */
#ifndef KERNEL_SOFTIRQ_H
#define KERNEL_SOFTIRQ_H

#include <irqflags.h>

/* In the order in which they run. */
enum softirq {
	HI_SOFTIRQ,
	TIMER_SOFTIRQ,
	RCU_SOFTIRQ,
	TASKLET_SOFTIRQ,
	NR_SOFTIRQS
};

/* @action runs whenever @nr was raised. Before it is; @nr has no other. */
void open_softirq(enum softirq nr, void (*action)(void));

/* Any context but an NMI. What was raised once more before it began runs once. */
void raise_softirq(enum softirq nr);
/* The same where interrupts are off. */
void raise_softirq_irqoff(enum softirq nr);

/* No softirq runs on this CPU in between; nests. A reader of RCU. */
static inline void local_bh_disable(void)
{
	struct cpu *cpu = this_cpu();

	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count + SOFTIRQ_DISABLE_OFFSET);
	barrier();
}

/* Those that were raised meanwhile run here. Interrupts are on. */
void local_bh_enable(void);

/* Called by irq.c at the end of an interrupt, which was no poll if @interrupted; irqs off. */
void softirq_irq_exit(bool interrupted);
/* Called by the idle task, for those that are left; interrupts are off, and stay so. */
void softirq_run_left(void);

#endif
