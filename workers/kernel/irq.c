// SPDX-License-Identifier: MIT
/*
 * Interrupts: what is pending is taken with interrupts off; then softirqs run with interrupts
 * on, and the task may be preempted.
 *
 * An NMI comes whatever is off, also into the handler of a trap. It is never
 * preempted and nothing is scheduled when it ends; it is a reader of RCU, also
 * where the CPU is idle. Its handlers take no lock: who holds it may be what
 * they have interrupted.
 */
#include <error.h>
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/irq.h>
#include <kernel/irq_work.h>
#include <kernel/rcu.h>
#include <kernel/request.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/softirq.h>
#include <kernel/timer.h>
#include <trace.h>

/* A line's handler, written before its bit in cpu->irq_lines or nmi_lines is set. */
struct irq_action {
	irq_handler_t handler;
	void *data;
};

static struct irq_action actions[MAX_CPUS][IRQ_LINES];

/* A line that interrupts again while its handler runs is handled once more afterwards. */
static void handle_device(struct cpu *cpu, u32 line)
{
	const struct irq_action *action = &actions[cpu->id][line];
	u32 bit = 1u << line;
	struct balance before;

	cpu->irq_again |= bit;
	if (cpu->irq_busy & bit || !action->handler)
		return;
	cpu->irq_busy |= bit;
	while (cpu->irq_again & bit) {
		cpu->irq_again &= ~bit;
		cpu->nr_devices++;
		before = balance_here();
		action->handler(action->data);
		if (unlikely(!cpu->irq_off))
			report_finding(FINDING_BAD_CONTEXT, NULL, (u64)action->handler,
				       cpu->preempt_count, cpu->irq_off, cpu->irq_depth);
		check_balance(action->handler, before);
	}
	cpu->irq_busy &= ~bit;
}

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
	if (pending & (IRQ_TIMER | IRQ_REARM))
		timer_interrupt();
	if (pending & IRQ_WORK)
		irq_work_run();
	for (u32 line = 0; unlikely(pending & IRQ_DEVICES) && line < IRQ_LINES; line++) {
		if (pending & IRQ_DEVICE(line))
			handle_device(cpu, line);
	}
}

/* Interrupts are off, and stay so. */
static void take_interrupts(struct cpu *cpu, struct pt_regs *regs)
{
	struct pt_regs *before = cpu->irq_regs;
	u32 pending;

	cpu->irq_depth++;
	cpu->irq_regs = regs;
	if (!regs)
		cpu->nr_polled++;
	pending = machine_take_irqs();
	do {
		trace_event(EVENT_IRQ, pending, regs ? regs->ip : 0);
		handle_pending(cpu, pending);
	} while (machine_irqs_came() && (pending = machine_take_irqs()));
	machine_irqs_done();
	if (unlikely(cpu->preempt_work & PREEMPT_WORK_SOFTIRQS))
		softirq_irq_exit(regs != NULL);
	rcu_irq_exit_check();
	cpu->irq_regs = before;
	cpu->irq_depth--;
	preempt_schedule_irq(regs);
}

/*
 * The return from an interrupt turns interrupts on, and not before: the next one finds what
 * this one left, which may be a slot. Who polls turns them on here.
 */
void do_irq(struct pt_regs *regs)
{
	struct cpu *cpu = this_cpu();

	do {
		WRITE_ONCE(cpu->irq_off, 1);
		barrier();
		do {
			take_interrupts(cpu, regs);
		} while (regs && machine_irqs_came());
		barrier();
		WRITE_ONCE(cpu->irq_off, 0);
		barrier();
	} while (!regs && machine_irqs_came());
}

void irq_run_pending(void)
{
	do_irq(NULL);
}

void do_nmi(struct pt_regs *regs)
{
	struct cpu *cpu = this_cpu();
	struct balance before;
	bool idle;
	u32 lines;

	WRITE_ONCE(cpu->nmi_depth, cpu->nmi_depth + 1);
	preempt_disable();
	idle = rcu_nmi_enter();
	while ((lines = machine_take_nmis())) {
		trace_event(EVENT_NMI, lines, regs->ip);
		for (u32 line = 0; line < IRQ_LINES; line++) {
			const struct irq_action *action = &actions[cpu->id][line];

			if (!(lines & 1u << line))
				continue;
			this_cpu_add(&cpu->nr_nmis, 1);
			before = balance_here();
			action->handler(action->data);
			check_balance(action->handler, before);
		}
	}
	if (idle)
		rcu_nmi_exit();
	preempt_enable_no_resched();
	WRITE_ONCE(cpu->nmi_depth, cpu->nmi_depth - 1);
}

static int request_line(int cpu, u32 line, u32 *lines, irq_handler_t handler, void *data)
{
	struct irq_action *action;

	if (cpu < 0 || cpu >= (int)num_cpus() || line >= IRQ_LINES)
		return -EINVAL;
	if ((cpu_at(cpu)->irq_lines | cpu_at(cpu)->nmi_lines) & 1u << line)
		return -EBUSY;
	action = &actions[cpu][line];
	action->data = data;
	action->handler = handler;
	/* The handler before anything can call it. */
	atomic_fetch_or(1u << line, lines);
	return 0;
}

int request_irq(int cpu, u32 line, irq_handler_t handler, void *data)
{
	return request_line(cpu, line, &cpu_at(cpu)->irq_lines, handler, data);
}

int request_nmi(int cpu, u32 line, irq_handler_t handler, void *data)
{
	return request_line(cpu, line, &cpu_at(cpu)->nmi_lines, handler, data);
}

void disable_lines(int cpu, u32 lines)
{
	atomic_fetch_and(~lines, &cpu_at(cpu)->irq_lines);
	atomic_fetch_and(~lines, &cpu_at(cpu)->nmi_lines);
}
