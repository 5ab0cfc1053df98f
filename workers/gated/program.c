// SPDX-License-Identifier: MIT
/*
 * What the explorer runs, on real CPUs: the tasks of C files and of a scenario, what
 * comes before them and what is checked when they have ended.
 */
#include "gates.h"

#include <error.h>
#include <explore.h>
#include <explored.h>
#include <finding.h>
#include <irqflags.h>
#include <kernel/irq.h>
#include <kernel/kthread.h>
#include <kernel/slab.h>
#include <outcome.h>

#define LARGEST_CLASS 8192    /* bytes of an object with its redzones */

static struct explored_task tasks[MAX_EXPLORED_TASKS];
static u32 nr_tasks;
static struct explored_interrupt interrupts[MAX_EXPLORED_INTERRUPTS];
static u32 nr_interrupts;

static int add_task(const struct explored_task *task)
{
	u32 n = nr_tasks;

	if (n == MAX_EXPLORED_TASKS || task->cpu >= num_cpus())
		return -EINVAL;
	/* In the order that they are written: the compiler may have changed it. */
	for (; n && tasks[n - 1].line > task->line; n--)
		tasks[n] = tasks[n - 1];
	tasks[n] = *task;
	nr_tasks++;
	gates.cpus |= 1UL << task->cpu;
	return 0;
}

static int find_tasks(void)
{
	const struct explored_task *task;
	int error = 0;

	for (task = __start_explored_tasks; task < __stop_explored_tasks && !error; task++)
		error = add_task(task);
	for (u32 n = 0; n < gates.nr_tasks && !error; n++)
		error = add_task(&gates.task[n]);
	return error;
}

static int add_interrupt(const struct explored_interrupt *interrupt)
{
	u32 n = nr_interrupts;

	if (n == MAX_EXPLORED_INTERRUPTS || interrupt->cpu >= num_cpus())
		return -EINVAL;
	for (; n && interrupts[n - 1].line > interrupt->line; n--)
		interrupts[n] = interrupts[n - 1];
	interrupts[n] = *interrupt;
	nr_interrupts++;
	return 0;
}

/* The lines of each CPU have the numbers that they have in the explorer. */
static int request_interrupts(void)
{
	const struct explored_interrupt *one;
	int error = 0;

	for (one = __start_explored_interrupts; one < __stop_explored_interrupts && !error; one++)
		error = add_interrupt(one);
	for (u32 n = 0; n < gates.nr_interrupts && !error; n++)
		error = add_interrupt(&gates.interrupt[n]);
	for (u32 n = 0; n < nr_interrupts && !error; n++) {
		const struct cpu *cpu;

		one = &interrupts[n];
		cpu = cpu_at(one->cpu);
		error = (one->nmi ? request_nmi : request_irq)(
			one->cpu, __builtin_popcount(cpu->irq_lines | cpu->nmi_lines),
			one->function, one->argument);
	}
	return error;
}

/* As the explorer does before any run: who allocates finds an object of each class. */
static void warm_up_slab(void)
{
	for (size_t size = 1; size < LARGEST_CLASS; size += 64)
		kfree(kmalloc(size, GFP_KERNEL | GFP_NOFAIL));
}

static s64 run_task(void *argument)
{
	const struct explored_task *task = argument;
	s64 result;

	gate_begin_task();
	result = task->function(task->argument);
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	return 0;
}

/* The tasks of one CPU. A task that wakes goes to the front: so the last one first. */
static s64 start_tasks(void *unused)
{
	preempt_disable();
	for (u32 n = nr_tasks; n--; ) {
		if (tasks[n].cpu == smp_processor_id())
			user_task_run(tasks[n].cpu, run_task, &tasks[n], tasks[n].name);
	}
	preempt_enable_no_resched();
	return 0;
}

/* By Python, on CPU 0: what comes before the tasks, and then they go. */
s64 gates_start(void);
s64 gates_start(void)
{
	const explored_function_t *init;
	s64 result;
	int error = find_tasks();

	if (!error)
		error = request_interrupts();
	if (error)
		return error;
	warm_up_slab();
	gates.stopped = machine_jiffies();
	smp_store_release(&gates.stands, 1);
	for (init = __start_explored_inits; init < __stop_explored_inits; init++)
		(*init)();
	result = gates.before ? gates.before() : 0;
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	/* Tasks of this CPU stand until all others do: so all are started before. */
	preempt_disable();
	for (u32 n = 0; n < num_cpus() && !error; n++) {
		if (gates.cpus >> n & 1 && !user_task_run(n, start_tasks, NULL, "start"))
			error = -EAGAIN;
	}
	preempt_enable_no_resched();
	return error;
}

/* By Python, on CPU 0: all tasks have ended, and nobody has anything to do. */
s64 gates_check(void);
s64 gates_check(void)
{
	const explored_function_t *check;
	s64 result;

	WRITE_ONCE(gates.armed, 0);
	WRITE_ONCE(gates.stands, 0);
	for (check = __start_explored_checks; check < __stop_explored_checks; check++)
		(*check)();
	result = gates.check ? gates.check() : 0;
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	return 0;
}

/* What follows would be no run of the program: stand, until Python ends the machine. */
void explore_discard(void)
{
	WRITE_ONCE(gates.discarded, 1);
	for (;;)
		machine_relax_while(&gates.discarded, 1);
}

/* Only the explorer collects outcomes. */
void explore_outcome(u64 value)
{
}
