/* SPDX-License-Identifier: MIT */
/* Run a function on other CPUs. */
#ifndef KERNEL_SMP_H
#define KERNEL_SMP_H

#include <irqflags.h>
#include <list.h>

typedef void (*smp_call_func_t)(void *info);
typedef u64 cpumask_t;        /* bit n = CPU n */

#define cpumask_of(cpu) (1UL << (cpu))

#define CSD_FLAG_LOCK 0x1     /* in use, until csd_unlock() */
#define CSD_TYPE_SYNC 0x2     /* somebody waits: unlocked after the function */

/* One queued call. The sender writes, then hands it over with CSD_FLAG_LOCK set. */
struct call_single_data {
	struct llist_node llist;
	u32 flags;            /* CSD_*; the handler clears LOCK */
	u32 pad;
	smp_call_func_t func;
	void *info;
	u32 *unacked;         /* count of calls not done, or NULL; the last one wakes */
};

__passed_over int smp_call_function_single(int cpu, smp_call_func_t func, void *info, bool wait);
int smp_call_function_single_async(int cpu, struct call_single_data *csd);
__passed_over
void smp_call_function_many(cpumask_t mask, smp_call_func_t func, void *info, bool wait);
__passed_over void on_each_cpu(smp_call_func_t func, void *info, bool wait);

/* Every CPU fetches its instructions anew, and no int3 handler entered before still runs. */
void sync_each_cpu(void);

/* Called by irq.c with interrupts off: run what is queued for this CPU. */
void generic_smp_call_function_interrupt(void);

/*
 * Called on a CPU that goes down, with interrupts off: what is queued for it runs now, since no
 * interrupt may come any more that tells it to. Nobody queues once it is not online.
 */
void smpcfd_dying_cpu(void);

cpumask_t online_mask(void);

/* Of a note of WAIT_CROSS_CALL: the CPUs that are still waited for. */
cpumask_t smp_unacked(const struct wait_note *note);

#endif
