// SPDX-License-Identifier: MIT
/*
 * What is raised stands in cpu->preempt_work, so the way out of an interrupt has one test for
 * it. There is no ksoftirqd: after SOFTIRQ_ROUNDS what was raised again is left for the next
 * interrupt, so that tasks get on; the machine sends a tick to a CPU with work left, and an
 * idle CPU does it at once.
 *
 * Source: Linux kernel/softirq.c (v6.12), handle_softirqs().
 */
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/softirq.h>

#define SOFTIRQ_ROUNDS 10

/* Written before the softirq is raised for the first time. */
static void (*actions[NR_SOFTIRQS])(void);

void open_softirq(enum softirq nr, void (*action)(void))
{
	WRITE_ONCE(actions[nr], action);
}

static void run_raised(u32 raised)
{
	for (; raised; raised &= raised - 1) {
		void (*action)(void) = READ_ONCE(actions[__builtin_ctz(raised)]);
		struct balance before = balance_here();

		action();
		check_balance(action, before);
	}
}

static u32 take_raised(struct cpu *cpu)
{
	u32 raised = cpu->preempt_work & PREEMPT_WORK_SOFTIRQS;

	cpu->preempt_work &= ~PREEMPT_WORK_SOFTIRQS;
	return raised / PREEMPT_WORK_SOFTIRQ(0);
}

/* Interrupts are off, and are again when it returns. */
static void run_softirqs(struct cpu *cpu)
{
	u32 raised;

	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count + SOFTIRQ_OFFSET);
	for (u32 round = 0; round < SOFTIRQ_ROUNDS && (raised = take_raised(cpu)); round++) {
		local_irq_enable();
		run_raised(raised);
		local_irq_disable();
	}
	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count - SOFTIRQ_OFFSET);
}

/* The interrupted code may be where nobody may preempt it: what follows is the interrupt's end. */
void softirq_irq_exit(bool interrupted)
{
	struct cpu *cpu = this_cpu();

	if (cpu->irq_depth > 1 || in_softirq())
		return;
	cpu->irq_depth--;
	if (interrupted)
		machine_open_irqs(true);
	run_softirqs(cpu);
	if (interrupted)
		machine_open_irqs(false);
	cpu->irq_depth++;
}

void softirq_run_left(void)
{
	run_softirqs(this_cpu());
}

void raise_softirq_irqoff(enum softirq nr)
{
	struct cpu *cpu = this_cpu();

	cpu->preempt_work |= PREEMPT_WORK_SOFTIRQ(nr);
	/* The end of an interrupt, or of a section without softirqs, sees to it, if in one. */
	if (!cpu->irq_depth && !in_softirq())
		machine_raise_irq(cpu->id, IRQ_WORK);
}

void raise_softirq(enum softirq nr)
{
	u32 flags = local_irq_save();

	raise_softirq_irqoff(nr);
	local_irq_restore(flags);
}

void local_bh_enable(void)
{
	struct cpu *cpu = this_cpu();

	if (unlikely(cpu->irq_off || cpu->irq_depth))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       cpu->preempt_count, cpu->irq_off, cpu->irq_depth);
	/* Preemption stays off until they have run. */
	WRITE_ONCE(cpu->preempt_count, cpu->preempt_count - SOFTIRQ_DISABLE_OFFSET + 1);
	barrier();
	local_irq_disable();
	if (cpu->preempt_work & PREEMPT_WORK_SOFTIRQS && !in_softirq())
		run_softirqs(cpu);
	local_irq_enable();
	preempt_enable();
}
