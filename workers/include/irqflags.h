/* SPDX-License-Identifier: MIT */
/*
 * Interrupts on and off, preemption on and off.
 *
 * cpu->preempt_count has three parts, as in the kernel: how often preemption was turned
 * off, whether the CPU runs softirqs, and how often they were turned off.
 * Source: Linux include/linux/preempt.h (v6.12).
 */
#ifndef WORKERS_IRQFLAGS_H
#define WORKERS_IRQFLAGS_H

#include <machine.h>

void irq_run_pending(void);    /* kernel/irq.c */
void preempt_slowpath(void);   /* kernel/sched.c */

static inline bool irqs_disabled(void)
{
	return READ_ONCE(this_cpu()->irq_off);
}

static inline void local_irq_disable(void)
{
	WRITE_ONCE(this_cpu()->irq_off, 1);
	barrier();
}

static inline void local_irq_enable(void)
{
	struct cpu *cpu = this_cpu();

	barrier();
	WRITE_ONCE(cpu->irq_off, 0);
	barrier();
	/* An interrupt that came meanwhile found them off and left its bit. */
	if (unlikely(READ_ONCE(cpu->irq_pending)))
		irq_run_pending();
}

static inline u32 local_irq_save(void)
{
	u32 flags = READ_ONCE(this_cpu()->irq_off);

	local_irq_disable();
	return flags;
}

static inline void local_irq_restore(u32 flags)
{
	if (!flags)
		local_irq_enable();
}

static inline void preempt_disable(void)
{
	struct cpu *cpu = this_cpu();

	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count + 1);
	barrier();
}

static inline void preempt_enable_no_resched(void)
{
	struct cpu *cpu = this_cpu();

	barrier();
	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count - 1);
}

static inline void preempt_enable(void)
{
	struct cpu *cpu = this_cpu();

	barrier();
	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count - 1);
	barrier();
	if (unlikely(READ_ONCE(cpu->preempt_work)) && !cpu->preempt_count)
		preempt_slowpath();
}

static inline u32 preempt_count(void)
{
	return READ_ONCE(this_cpu()->preempt_count);
}

#define SOFTIRQ_OFFSET 0x100          /* the CPU runs softirqs */
#define SOFTIRQ_DISABLE_OFFSET 0x200  /* local_bh_disable() */
#define SOFTIRQ_MASK 0xff00

/* Softirqs are off, or it is one. */
static inline bool in_softirq(void)
{
	return preempt_count() & SOFTIRQ_MASK;
}

static inline bool in_serving_softirq(void)
{
	return preempt_count() & SOFTIRQ_OFFSET;
}

static inline bool in_nmi(void)
{
	return READ_ONCE(this_cpu()->nmi_depth);
}

/* Or in an NMI. */
static inline bool in_interrupt(void)
{
	return READ_ONCE(this_cpu()->irq_depth) || in_nmi();
}

#endif
