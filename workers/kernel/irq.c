// SPDX-License-Identifier: MIT
/* Interrupts: what is pending is taken with interrupts off, then the task may be preempted. */
#include <kernel/irq.h>
#include <kernel/rcu.h>
#include <kernel/request.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <trace.h>

static void handle_pending(struct cpu *cpu, u32 pending)
{
	if (pending & IRQ_CALL)
		generic_smp_call_function_interrupt();
	if (pending & IRQ_TICK)
		sched_tick();
	if (pending & IRQ_RESCHED)
		cpu->preempt_work |= PREEMPT_WORK_RESCHED;
	if (pending & IRQ_REQUEST)
		request_interrupt();
}

void do_irq(struct pt_regs *regs)
{
	struct cpu *cpu = this_cpu();

	do {
		struct pt_regs *before;
		u32 pending;

		WRITE_ONCE(cpu->irq_off, 1);
		barrier();
		before = cpu->irq_regs;
		cpu->irq_depth++;
		cpu->irq_regs = regs;
		if (!regs)
			cpu->nr_polled++;
		while ((pending = machine_take_irqs())) {
			trace_event(EVENT_IRQ, pending, regs ? regs->ip : 0);
			handle_pending(cpu, pending);
		}
		machine_irqs_done();
		rcu_irq_exit_check();
		cpu->irq_regs = before;
		cpu->irq_depth--;
		preempt_schedule_irq(regs);
		barrier();
		WRITE_ONCE(cpu->irq_off, 0);
		barrier();
	} while (READ_ONCE(cpu->irq_pending));
}

void irq_run_pending(void)
{
	do_irq(NULL);
}
