/* SPDX-License-Identifier: MIT */
/* Between kernel.c, which has tasks explored, and the files that are their machine. */
#ifndef VIRTUAL_KERNEL_H
#define VIRTUAL_KERNEL_H

#include "detectors/section.h"
#include "engine.h"

/* Its exit, which is told and never happens, opens the gate that tasks wait at. */
#define GATE_CPU (VIRTUAL_CPUS - 1)

enum kernel_phase {
	PHASE_BOOT,           /* no choices; what is written stays */
	PHASE_START,          /* likewise: INIT, and tasks are made */
	PHASE_RUN,
	PHASE_CHECK,          /* all tasks have ended; no choices */
	PHASE_FAILED,         /* the boot ended with a finding: so does every run */
};

struct kernel {
	enum kernel_phase phase;
	u32 started;          /* 1 = all tasks are made */
	u32 nr_tasks;
	u64 ended;            /* tasks, by place in kernel_tasks[] */
	u64 resting[VIRTUAL_CPUS]; /* tasks of each CPU, by place */
	u8 late_ticks[VIRTUAL_CPUS]; /* that came because nothing else could */
	u64 clock;            /* times that somebody looked at it in this run */
	u16 timers[VIRTUAL_CPUS]; /* that have interrupted a CPU in this run */
	u32 late_timers;      /* that nothing else could come before, since a task went on */
};

extern struct kernel kernel;
extern struct explored_task kernel_tasks[MAX_EXPLORED_TASKS];

static inline u32 nr_kernel_cpus(void)
{
	return the_machine->config.cpus;
}

/* What the machine itself writes, and nobody notices as an access. */
static inline void kernel_set_word(u32 *word, u32 value)
{
	undo_push((u64)word, sizeof(*word), *word);
	*word = value;
}

static inline void kernel_set_long(u64 *word, u64 value)
{
	undo_push((u64)word, sizeof(*word), *word);
	*word = value;
}

/* As the processor does it on the way into a trap or an interrupt of the code at @pc, and back. */
static inline void kernel_irqs_off(const struct vcpu *cpu, u64 pc)
{
	section_forced(cpu, pc);
	kernel_set_word(&the_machine->cpu[cpu->id].irq_off, 1);
}

static inline void kernel_irqs_restore(const struct vcpu *cpu, u32 irq_off)
{
	kernel_set_word(&the_machine->cpu[cpu->id].irq_off, irq_off);
}

/* kernel_machine.c: interrupts and fibers of a machine that is about to boot. */
void kernel_machine_init(void);
/* A fresh fiber for @task, which begins with @entry. */
void kernel_fiber_init(struct task_struct *task, void (*entry)(void));

/* kernel_interrupts.c */
void kernel_interrupts_init(void);
/* One more that comes when it likes; 0 or -errno. */
int kernel_interrupts_add(const struct explored_interrupt *interrupt);
/* How many CPUs they need; whether there are any. */
u32 kernel_interrupts_cpus(void);
bool kernel_interrupts_exist(void);
/* By a task, before any other: give each its handler; 0 or -errno. */
int kernel_interrupts_request(void);
/* A run begins: all of them may come. */
void kernel_interrupts_begin(void);
/* All tasks of a CPU have ended. */
void kernel_interrupts_end(u32 cpu);
/* It gets a tick now, besides those that may come. */
void kernel_interrupts_tick(u32 cpu);
/* IRQ_TIMER may come to @cpu from now on; @when is 0: no more. */
void kernel_timer_set(u32 cpu, u64 when);
/* Nothing else can happen: time passes to the first timer. False = there is none. */
bool kernel_timer_passes(void);

/* kernel_memory.c: watch the heap of a machine that is about to boot; 0 or -errno. */
int kernel_memory_init(void);

/* kernel_snapshot.c: every CPU is suspended. Keep them so; 0 or -errno. */
int snapshot_take(void);
/* Put back what a run has changed of them. Memory has been undone. */
void snapshot_restore(void);

/* kernel_tasks.c: what is to be explored; 0 or -errno. */
int kernel_tasks_find(void);
/* A task of CPU 0, the first but those that boot the kernel. */
s64 kernel_tasks_start(void *unused);
/* All tasks have ended, and everything is quiet: look at what they leave. */
void kernel_tasks_check(void);
/* All of them have ended. */
bool kernel_tasks_have_ended(void);
/* It runs code of the user's. */
bool kernel_task_is_explored(const struct task_struct *task);
bool kernel_task_has_ended(const struct task_struct *task);

/* kernel_audit.c: all tasks have ended: is everything as it must be? */
void kernel_audit(void);

/* kernel_leaks.c: of a run; an object is somebody's, or nobody's again. */
void leaks_begin(void);
void leaks_allocated(u64 start, u64 size);
void leaks_freed(u64 start);
void leaks_check(void);

/* kernel_deadlock.c: who waits for what will not come; at most VIRTUAL_CPUS. Returns how many. */
u32 kernel_find_waiting(struct waiting *waiting);

#endif
