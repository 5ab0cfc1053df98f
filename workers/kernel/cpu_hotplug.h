/* SPDX-License-Identifier: MIT */
/*
 * The set of CPUs does not change while a reader holds this lock. Bringing a CPU up or down
 * is the writer. Taken after kprobe_mutex and before text_mutex.
 */
#ifndef KERNEL_CPU_HOTPLUG_H
#define KERNEL_CPU_HOTPLUG_H

#include <kernel/rwsem.h>

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
