// SPDX-License-Identifier: MIT
/* The tasks that are explored: found in the C files and the job, started, ended, checked. */
#include "programs/kernel.h"

#include "hooks.h"
#include "detectors/report.h"

#include <error.h>
#include <explore.h>
#include <explored.h>
#include <finding.h>
#include <irqflags.h>
#include <kernel/balance.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks_trace.h>

struct explored_task kernel_tasks[MAX_EXPLORED_TASKS];

#define PC ((u64)__builtin_return_address(0))

static int add_task(const struct explored_task *task)
{
	u32 n = kernel.nr_tasks;

	if (n == MAX_EXPLORED_TASKS || task->cpu >= GATE_CPU)
		return -ERANGE;
	/* In the order that they are written: the compiler may have changed it. */
	for (; n && kernel_tasks[n - 1].line > task->line; n--)
		kernel_tasks[n] = kernel_tasks[n - 1];
	kernel_tasks[n] = *task;
	kernel.nr_tasks++;
	return 0;
}

/* As many CPUs as somebody asks for, and as tasks need. */
static int count_cpus(void)
{
	u32 cpus = the_explore->cpus ? the_explore->cpus : 1;

	cpus = kernel_interrupts_cpus() > cpus ? kernel_interrupts_cpus() : cpus;
	for (const u32 *more = __start_explored_cpus; more < __stop_explored_cpus; more++)
		cpus = *more > cpus ? *more : cpus;
	for (u32 n = 0; n < kernel.nr_tasks; n++) {
		if (kernel_tasks[n].cpu >= cpus)
			cpus = kernel_tasks[n].cpu + 1;
	}
	if (cpus > GATE_CPU)
		return -ERANGE;
	the_machine->config.cpus = cpus;
	return 0;
}

/* A file that is no program, and has nothing for a kernel either, would hold whatever it says. */
static bool is_anything_there(void)
{
	return kernel.nr_tasks || the_explore->check || __start_explored_checks !=
		__stop_explored_checks || __start_explored_inits != __stop_explored_inits;
}

int kernel_tasks_find(void)
{
	const struct explored_interrupt *interrupt = __start_explored_interrupts;
	const struct explored_task *task;
	int error = 0;

	for (task = __start_explored_tasks; task < __stop_explored_tasks && !error; task++)
		error = add_task(task);
	for (u32 n = 0; n < the_explore->nr_tasks && !error; n++)
		error = add_task(&the_explore->task[n]);
	for (; interrupt < __stop_explored_interrupts && !error; interrupt++)
		error = kernel_interrupts_add(interrupt);
	for (u32 n = 0; n < the_explore->nr_interrupts && !error; n++)
		error = kernel_interrupts_add(&the_explore->interrupt[n]);
	for (u32 n = 0; n < kernel.nr_tasks; n++)
		kernel.resting[kernel_tasks[n].cpu] |= 1UL << n;
	if (!error && !is_anything_there())
		error = -ENOENT;
	return error ? error : count_cpus();
}

/* Nothing is left to do. The CPU takes interrupts, and belongs to others if there are any. */
static void rest(u32 place)
{
	struct vcpu *cpu = engine.cpu;
	u32 *nr_running = &this_cpu()->nr_running;

	/* Once all have ended nothing comes any more: that matters to whatever could still come. */
	if (kernel_interrupts_exist())
		engine_point(EVENT_KIND_SIGNAL, 0, 0, PC);
	kernel.ended |= 1UL << place;
	if (!(kernel.resting[cpu->id] & ~kernel.ended))
		kernel_interrupts_end(cpu->id);
	if (unlikely(engine.show))
		show_event(cpu, EVENT_KIND_EXIT, 0, 0, 0, PC);
	rcu_user_enter();
	cpu->pending.value = 1;
	engine_point(EVENT_KIND_AWAIT, (u64)nr_running, sizeof(*nr_running), PC);
	rcu_user_exit();
}

static s64 run_task(void *argument)
{
	const struct explored_task *task = argument;
	struct vcpu *cpu = engine.cpu;
	s64 result;

	if (engine.booting) {
		cpu->fiber->own_start = (u64)task->argument;
		cpu->fiber->own_size = task->own;
		cpu->pending.value = GATE_CPU;
		engine_point(EVENT_KIND_JOIN, 0, 0, PC);
	}
	machine_reader_begins(TASK_READERS);
	result = task->function(task->argument);
	machine_reader_ends(TASK_READERS);
	check_balance(task->function, TASK_BALANCE);
	rcu_tasks_trace_exit(task->function);
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	rest(task - kernel_tasks);
	return 0;
}

s64 kernel_tasks_start(void *unused)
{
	const explored_function_t *init;
	s64 result;

	for (init = __start_explored_inits; init < __stop_explored_inits; init++)
		(*init)();
	result = the_explore->before ? the_explore->before() : 0;
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	result = kernel_interrupts_request();
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	/* A task that wakes goes to the front: so the last one first, and none before all are. */
	preempt_disable();
	for (u32 n = kernel.nr_tasks; n--; )
		kthread_run(kernel_tasks[n].cpu, run_task, &kernel_tasks[n], kernel_tasks[n].name);
	preempt_enable_no_resched();
	kernel.started = 1;
	return 0;
}

bool kernel_tasks_have_ended(void)
{
	return kernel.ended == (kernel.nr_tasks < 64 ? (1UL << kernel.nr_tasks) - 1 : ~0UL);
}

bool kernel_task_is_explored(const struct task_struct *task)
{
	return task->function == run_task || task->function == kernel_tasks_start;
}

bool kernel_task_has_ended(const struct task_struct *task)
{
	const struct explored_task *explored = task->argument;

	return task->function == run_task && kernel.ended >> (explored - kernel_tasks) & 1;
}

/* On this CPU, whichever was the last, with all its hooks: nobody else has anything to do. */
void kernel_tasks_check(void)
{
	const explored_function_t *check;
	s64 result = 0;

	for (u32 n = 0; engine.races && n < nr_kernel_cpus(); n++)
		race_edge(&engine.vcpu[n], engine.cpu);
	engine.booting = 1;
	for (check = __start_explored_checks; check < __stop_explored_checks; check++)
		(*check)();
	if (the_explore->check)
		result = the_explore->check();
	if (result)
		report_finding(FINDING_CLAIM, NULL, result);
	kernel_audit();
}

void explore_discard(void)
{
	engine_end(RUN_ASSUMED);
}
