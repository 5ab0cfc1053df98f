/* SPDX-License-Identifier: MIT */
/*
 * For a C file whose schedules are explored: its tasks, and what must be true of them.
 *
 *	static int x, y, seen[2];
 *
 *	TASK(0, left) { WRITE_ONCE(x, 1); seen[0] = READ_ONCE(y); }
 *	TASK(1, right) { WRITE_ONCE(y, 1); seen[1] = READ_ONCE(x); }
 *	FINAL_CHECK { claim(seen[0] || seen[1], seen[0], seen[1]); }
 *
 * The vocabulary is the kernel's: include <kernel/mutex.h> and the like.
 */
#ifndef WORKERS_EXPLORE_H
#define WORKERS_EXPLORE_H

#include <choice.h>
#include <compiler.h>
#include <finding.h>
#include <irqflags.h>
#include <shm_layout/explore.h>

#define EXPLORED_IN(section_name) \
	__attribute__((section(#section_name), used, aligned(8)))

/*
 * TASK(cpu, name) { ... }: the body of a task of that CPU. Those of one CPU begin in the
 * order they are written; a later one when those before it sleep, yield or have ended.
 */
#define TASK(cpu_number, task_name) \
	static void task_##task_name(void); \
	static s64 run_##task_name(void *unused) \
	{ \
		task_##task_name(); \
		return 0; \
	} \
	static const struct explored_task explored_##task_name EXPLORED_IN(explored_tasks) = { \
		.function = run_##task_name, .cpu = (cpu_number), .line = __LINE__, \
		.name = #task_name, \
	}; \
	static void task_##task_name(void)

#define EXPLORED_INTERRUPT(is_nmi, cpu_number, most_times, interrupt_name) \
	static void interrupt_##interrupt_name(void *unused); \
	static const struct explored_interrupt explored_##interrupt_name \
		EXPLORED_IN(explored_interrupts) = { \
		.function = interrupt_##interrupt_name, .cpu = (cpu_number), .nmi = (is_nmi), \
		.times = (most_times), .line = __LINE__, \
	}; \
	static void interrupt_##interrupt_name(void *unused)

/*
 * IRQ(cpu, times, name) { ... }: what a device does on that CPU when it interrupts, at any
 * moment when interrupts are on, at most so many times (1 to 255), until all tasks have ended.
 * It does not sleep. NMI(...) likewise, also when they are off, but never into itself.
 */
#define IRQ(cpu, times, name) EXPLORED_INTERRUPT(0, cpu, times, name)
#define NMI(cpu, times, name) EXPLORED_INTERRUPT(1, cpu, times, name)

#define EXPLORED_FUNCTION(section_name, function_name) \
	static void function_name(void); \
	static void (*const section_name##_entry)(void) EXPLORED_IN(section_name) = function_name; \
	static void function_name(void)

/* INIT { ... }: runs once on CPU 0, as a task, before any other; may sleep. One in a file. */
#define INIT EXPLORED_FUNCTION(explored_inits, explored_init)

/* FINAL_CHECK { ... }: runs when all tasks have ended; does not sleep. One in a file. */
#define FINAL_CHECK EXPLORED_FUNCTION(explored_checks, explored_check)

/* The machine has at least so many CPUs, also without tasks of their own. Once in a file. */
#define EXPLORE_CPUS(number) \
	static const u32 explored_cpus_entry \
		__attribute__((section("explored_cpus"), used)) = (number)

/*
 * EXPLORE_PREEMPT(PREEMPT_NONE): where tasks lose their CPU, if the command does not say. It is
 * read in the text of the file, on a line of its own.
 */
#define EXPLORE_PREEMPT(model) \
	static_assert((model) == PREEMPT_FULL || (model) == PREEMPT_NONE, "enum preempt_model")

/* What follows is only about runs in which @condition holds: others do not count. */
#define assume(condition) do { \
	if (!(condition)) \
		explore_discard(); \
} while (0)

void explore_discard(void) __attribute__((noreturn));

#endif
