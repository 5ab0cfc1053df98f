// SPDX-License-Identifier: MIT
/*
 * A worker process is a CPU; its threads are the tasks, of which one runs.
 *
 * The first thread is not a task: it makes threads for new tasks and is never
 * interrupted. A task that blocks while nothing else can run hosts the idle task on its
 * own thread: a wake-up of that task then costs no switch between threads.
 */
#define _GNU_SOURCE
#include "real.h"

#include <errno.h>
#include <irqflags.h>
#include <kernel/init.h>
#include <kernel/kthread.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct cpu *machine_this_cpu;
__thread struct task_struct *machine_self;

/* Give this CPU to the thread of @next. */
static void hand_to(struct cpu *cpu, struct task_struct *next)
{
	WRITE_ONCE(cpu->owner_tid, next->tid);
	WRITE_ONCE(next->parked_frame, 0);
	(void)xchg(&next->park, 1);
	futex_wake(&next->park, 1);
}

static void wait_for_cpu(struct task_struct *self)
{
	while (!smp_load_acquire(&self->park))
		futex_wait(&self->park, 0, 0);
	WRITE_ONCE(self->park, 0);
	sync_core(); /* Whatever was patched while this thread stood. */
}

void machine_switch(struct task_struct *prev, struct task_struct *next)
{
	struct task_struct *self = machine_self;
	struct cpu *cpu = this_cpu();

	WRITE_ONCE(self->parked_frame, (u64)__builtin_frame_address(0));
	/* Back to a task that was only computing: others may be waited for. */
	if (next->preempted)
		core_give_way(cpu, false);
	if (next == cpu->idle && self != cpu->idle) {
		while (cpu->curr == cpu->idle)
			cpu_idle_step();
		local_irq_disable();
	} else if (next != self) {
		hand_to(cpu, next);
		wait_for_cpu(self);
	}
	WRITE_ONCE(self->parked_frame, 0);
}

/* CPU 0's first task, when all CPUs are up. */
static void start_init(void)
{
	u32 online;

	while ((online = smp_load_acquire(&the_machine->online)) < num_cpus())
		futex_wait(&the_machine->online, online, 0);
	if (!kthread_run(0, kernel_init_task, NULL, "init"))
		_exit(112);
}

/* A function of its own: in the one that calls it, this_cpu() is not what it was. */
static noinline __attribute__((noreturn)) void run_task(struct task_struct *task)
{
	wait_for_cpu(task);
	if (task->class == TASK_IDLE) {
		if (machine_is_oversubscribed())
			core_acquire(this_cpu(), false);
		if (task->cpu == 0)
			start_init();
		for (;;)
			cpu_idle_step();
	}
	task_entry(task);
}

static void *task_thread(void *argument)
{
	struct task_struct *task = argument;
	stack_t trap_stack = { .ss_sp = (void *)task->trap_stack, .ss_size = TRAP_STACK_SIZE };
	sigset_t set;

	sigaltstack(&trap_stack, NULL);
	task->tid = gettid();
	WRITE_ONCE(task->has_thread, 1);
	machine_wake(&task->has_thread);
	futex_wake(&task->has_thread, 1);
	/* Only now a thread of the CPU: another one is the CPU until it hands over. */
	machine_this_cpu = cpu_at(task->cpu);
	machine_self = task;
	sigemptyset(&set);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	run_task(task);
}

static int make_thread(struct task_struct *task)
{
	u64 size = TRAP_STACK_SIZE + TASK_STACK_SIZE;
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	task->trap_stack = ARENA_BASE + the_machine->region[REGION_STACKS].offset +
			   task->index * size;
	task->stack = task->trap_stack + TRAP_STACK_SIZE;
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, (void *)task->stack, TASK_STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, task_thread, task);
	pthread_attr_destroy(&attributes);
	return -error;
}

int machine_start_task(struct task_struct *task)
{
	struct cpu *cpu = cpu_at(task->cpu);

	if (task->has_thread)
		return 0;
	atomic_inc(&cpu->spawn);
	futex_wake(&cpu->spawn, 1);
	while (!smp_load_acquire(&task->has_thread))
		machine_relax_while(&task->has_thread, 0);
	return 0;
}

/* For ever: give threads to tasks that have none. */
static void serve_threads(struct cpu *cpu)
{
	for (;;) {
		u32 seen = READ_ONCE(cpu->spawn);

		for (u32 n = 0; n < MAX_TASKS; n++) {
			struct task_struct *task = &the_machine->task[n];

			if (READ_ONCE(task->state) == TASK_BLOCKED && task->cpu == cpu->id &&
			    task->function && !task->tid) {
				task->tid = -1; /* Being made. */
				if (make_thread(task))
					_exit(112);
			}
		}
		futex_wait(&cpu->spawn, seen, 0);
	}
}

static void make_idle_task(struct cpu *cpu)
{
	struct task_struct *idle = &the_machine->task[cpu->id];

	idle->index = cpu->id;
	idle->cpu = cpu->id;
	idle->class = TASK_IDLE;
	idle->state = TASK_RUNNING;
	snprintf(idle->name, sizeof(idle->name), "idle/%u", cpu->id);
	cpu->idle = idle;
	cpu->curr = idle;
	if (make_thread(idle))
		_exit(112);
	while (!smp_load_acquire(&idle->has_thread))
		futex_wait(&idle->has_thread, 0, 0);
}

/* If asked to, and if there are enough: each CPU on a core of the host. Threads inherit it. */
static void pin(u32 id)
{
	cpu_set_t allowed, one;
	u32 nth = id;

	if (!the_machine->config.pin || machine_is_oversubscribed() ||
	    sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	for (int core = 0; core < CPU_SETSIZE; core++) {
		if (!CPU_ISSET(core, &allowed) || nth--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(core, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

void cpu_main(u32 id)
{
	struct cpu *cpu = cpu_at(id);
	char name[16];
	sigset_t all;

	snprintf(name, sizeof(name), "testbed/cpu%u", id);
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != the_machine->coordinator)
		_exit(0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	cpu->id = id;
	cpu->pid = getpid();
	pin(id);
	make_idle_task(cpu);
	hand_to(cpu, cpu->idle);
	WRITE_ONCE(cpu->online, 1);
	atomic_inc(&the_machine->online);
	futex_wake(&the_machine->online, INT32_MAX);
	serve_threads(cpu);
	_exit(0);
}
