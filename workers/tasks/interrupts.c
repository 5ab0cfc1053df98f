// SPDX-License-Identifier: MIT
/*
 * A scenario's own interrupts. The machine raises them when it likes; in rounds,
 * what comes too often, or between two rounds, does nothing.
 */
#include <finding.h>
#include <irqflags.h>
#include <kernel/irq.h>
#include <tasks/interrupts.h>
#include <tasks/operations.h>

void scenario_interrupt(void *argument)
{
	struct scenario_interrupt *interrupt = argument;
	struct scenario_task *task = &interrupt->task;

	WRITE_ONCE(interrupt->taken, interrupt->taken + 1);
	for (u32 n = 0; n < task->nr_operations; n++)
		operation_do(task, &task->operations[n]);
	if (task->function) {
		s64 result = task->function((void *)task->argument);

		claim(!result, (u64)task->function, task->argument, result);
		task->counts.operations++;
	}
}

/* In a round. */
static void interrupt_if_any_left(void *argument)
{
	struct scenario_interrupt *interrupt = argument;
	u32 left;

	/* Before the look; pairs with interrupts_quiesce(). */
	(void)xchg(&interrupt->running, 1);
	left = READ_ONCE(interrupt->left);
	if (left && cmpxchg(&interrupt->left, left, left - 1) == left)
		scenario_interrupt(interrupt);
	smp_store_release(&interrupt->running, 0);
	machine_wake(&interrupt->running);
}

static void request_all(struct scenario *scenario)
{
	for (u32 n = 0; n < scenario->nr_interrupts; n++) {
		struct scenario_interrupt *interrupt = &scenario->interrupts[n];
		int error = (interrupt->nmi ? request_nmi : request_irq)(
			interrupt->task.cpu, interrupt->line, interrupt_if_any_left, interrupt);

		claim(!error, interrupt->task.cpu, interrupt->line, error);
	}
}

void interrupts_allow(struct scenario *scenario)
{
	if (scenario->rounds == 1)
		request_all(scenario);
	for (u32 n = 0; n < scenario->nr_interrupts; n++)
		smp_store_release(&scenario->interrupts[n].left, scenario->interrupts[n].times);
}

void interrupts_quiesce(struct scenario *scenario)
{
	for (u32 n = 0; n < scenario->nr_interrupts; n++) {
		struct scenario_interrupt *interrupt = &scenario->interrupts[n];

		/* None begins after it, one that has begun is seen; pairs with the handler's. */
		(void)xchg(&interrupt->left, 0);
		while (smp_load_acquire(&interrupt->running))
			machine_relax_while(&interrupt->running, 1);
	}
}

void interrupts_end(struct scenario *scenario)
{
	for (u32 n = 0; n < scenario->nr_interrupts; n++)
		disable_lines(scenario->interrupts[n].task.cpu, 1u << scenario->interrupts[n].line);
}
