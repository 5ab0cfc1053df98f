/* SPDX-License-Identifier: MIT */
/* Stop every CPU with interrupts off, and run a function while they stand. */
#ifndef KERNEL_STOP_MACHINE_H
#define KERNEL_STOP_MACHINE_H

#include <kernel/completion.h>
#include <kernel/smp.h>

typedef int (*cpu_stop_fn_t)(void *arg);

/* What a stopper is to do. */
struct cpu_stop_work {
	struct list_head list;/* on the stopper's works, under its lock */
	cpu_stop_fn_t fn;
	void *arg;
	struct cpu_stop_done *done; /* who waits for it; NULL = nobody */
};

/*
 * @mask 0 = the first online CPU only runs @fn; all are stopped in any case.
 * Context: task, may sleep; takes the lock of the set of CPUs for reading.
 */
int stop_machine(cpu_stop_fn_t fn, void *data, cpumask_t mask);

/* The same for a caller who holds that lock. */
int stop_machine_cpuslocked(cpu_stop_fn_t fn, void *data, cpumask_t mask);

/* Run @fn on @cpu in its stopper, at the highest priority; wait. -ENOENT if it is disabled. */
int stop_one_cpu(int cpu, cpu_stop_fn_t fn, void *arg);
int stop_two_cpus(int cpu1, int cpu2, cpu_stop_fn_t fn, void *arg);

/*
 * The same as stop_one_cpu(), without waiting: false if the stopper takes no work. @work is the
 * caller's, until @fn runs; what @fn returns is lost.
 */
bool stop_one_cpu_nowait(int cpu, cpu_stop_fn_t fn, void *arg, struct cpu_stop_work *work);

/*
 * Called by cpu_hotplug.c. In the stopper of @cpu: it takes no more work, does what it has, and
 * parks. By another CPU, when @cpu is up: it takes work again.
 */
void stop_machine_park(int cpu);
void stop_machine_unpark(int cpu);

void stop_machine_init(void);

#endif
