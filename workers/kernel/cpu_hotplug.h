/* SPDX-License-Identifier: MIT */
/*
 * CPUs go down and come up while the machine runs.
 *
 * The set of CPUs does not change while a reader holds cpu_hotplug_lock. Bringing a CPU up or
 * down is the writer. Taken after kprobe_mutex and before text_mutex.
 */
#ifndef KERNEL_CPU_HOTPLUG_H
#define KERNEL_CPU_HOTPLUG_H

#include <kernel/rwsem.h>

/*
 * What a CPU passes through, upwards and downwards. Callbacks get places in the two ranges, and
 * run in the order of these numbers when it comes up, in the reverse order when it goes down.
 */
enum cpuhp_state {
	CPUHP_OFFLINE,
	CPUHP_BP_PREPARE_DYN,  /* on the CPU that does it: the other one is offline */
	CPUHP_BP_PREPARE_DYN_END = CPUHP_BP_PREPARE_DYN + 7,
	CPUHP_BRINGUP_CPU,
	CPUHP_AP_ONLINE_DYN,   /* on the CPU itself, which takes no tasks */
	CPUHP_AP_ONLINE_DYN_END = CPUHP_AP_ONLINE_DYN + 15,
	CPUHP_ONLINE,
};

typedef int (*cpuhp_callback_t)(unsigned int cpu);

/*
 * Take @cpu down: 0, also if it is; -EINVAL: there is none; -EBUSY: it is CPU 0, where the
 * machine was booted, or the caller's; another one goes up or down; or one of its tasks did not
 * park in time; -EAGAIN: no task for it; what a callback has returned. After an error all is
 * as before.
 *
 * A task never leaves its CPU: one that runs is waited for until it parks (cond_park(), yield(),
 * schedule(), rcu_tasks_quiescent()), blocks without a lock, or ends. It goes on when the CPU
 * is up, and so does one that is woken meanwhile: others must not need what it has, see
 * task_keeps_cpu(). Context: task, may sleep; without the lock of the set of CPUs.
 */
int cpu_down(unsigned int cpu);

/* Bring @cpu up: 0, also if it is; -EINVAL, -EBUSY, or what a callback has returned. */
int cpu_up(unsigned int cpu);

/*
 * From now on @startup is called for each CPU that comes up, @teardown for each that goes down
 * (each may be NULL); they return 0 or -errno, which stops it, and takes back what was done.
 * @startup is called now for each CPU that is online; cpuhp_remove_state() calls @teardown for
 * each. @state: CPUHP_BP_PREPARE_DYN or CPUHP_AP_ONLINE_DYN. Returns the place that it got;
 * -EINVAL, -ENOSPC, or what @startup has returned. Context: task, may sleep; without the lock of
 * the set of CPUs.
 */
int cpuhp_setup_state(enum cpuhp_state state, const char *name, cpuhp_callback_t startup,
		      cpuhp_callback_t teardown);
void cpuhp_remove_state(enum cpuhp_state state);

/* The same, without any call now. */
int cpuhp_setup_state_nocalls(enum cpuhp_state state, const char *name,
			      cpuhp_callback_t startup, cpuhp_callback_t teardown);
void cpuhp_remove_state_nocalls(enum cpuhp_state state);

/*
 * Make the kernel thread of each online CPU that takes it down and brings it up; whoever needs
 * one makes it otherwise. 0 or -EAGAIN. Context: task.
 */
int cpuhp_threads_init(void);

/* Called by the idle task of a CPU that is offline, with interrupts off; returns when it is up. */
void cpuhp_report_idle_dead(void);

extern struct rw_semaphore cpu_hotplug_lock;

/* Context: task, may sleep; does not nest. */
static inline void cpus_read_lock(void)
{
	down_read(&cpu_hotplug_lock);
}

static inline void cpus_read_unlock(void)
{
	up_read(&cpu_hotplug_lock);
}

static inline void cpus_write_lock(void)
{
	down_write(&cpu_hotplug_lock);
}

static inline void cpus_write_unlock(void)
{
	up_write(&cpu_hotplug_lock);
}

/* Report who relies on the set of CPUs while nobody holds it. */
void check_cpus_held(void);

#endif
