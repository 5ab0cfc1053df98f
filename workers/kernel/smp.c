// SPDX-License-Identifier: MIT
/*
 * Cross calls. A sender queues on each target's lock-free list and interrupts
 * the targets whose list was empty. Of a call to many, the last target to be
 * done wakes the sender: one wake-up, however many CPUs.
 *
 * Deadlock rules: never wait with interrupts off; never hold a lock that a
 * handler or a region with interrupts off takes.
 */
#include <error.h>
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/irq_work.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <percpu.h>
#include <trace.h>

struct call_function_data {
	struct call_single_data csd[MAX_CPUS]; /* one per target; its CPU's sender only */
	u32 unacked;                           /* of the call that is waited for; atomic */
};

static DEFINE_PER_CPU(struct llist_head, call_queue);
static DEFINE_PER_CPU(struct call_function_data, call_data);
static DEFINE_PER_CPU(struct call_single_data, async_csd);

cpumask_t online_mask(void)
{
	cpumask_t mask = 0;
	int cpu;

	for_each_online_cpu(cpu)
		mask |= cpumask_of(cpu);
	return mask;
}

static cpumask_t online_others(void)
{
	u32 self = smp_processor_id();
	cpumask_t mask = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (cpu != self && cpu_online(cpu))
			mask |= cpumask_of(cpu);
	}
	return mask;
}

static __passed_over void csd_lock_wait(struct call_single_data *csd, u32 cpu)
{
	struct wait_note before = wait_begin(WAIT_CROSS_CALL, csd, cpumask_of(cpu));

	machine_waits_for_cpus(cpumask_of(cpu));
	machine_wait_clear(&csd->flags, CSD_FLAG_LOCK);
	wait_end(before);
}

static void csd_lock(struct call_single_data *csd, u32 cpu, u32 type)
{
	if (unlikely(smp_load_acquire(&csd->flags) & CSD_FLAG_LOCK))
		csd_lock_wait(csd, cpu);
	else
		machine_waits_for_cpus(cpumask_of(cpu));
	WRITE_ONCE(csd->flags, CSD_FLAG_LOCK | type);
	smp_wmb(); /* The lock before what is written into the csd. */
}

/* After this the sender may use the csd again, or its stack frame may be gone. */
static void csd_unlock(struct call_single_data *csd)
{
	smp_store_release(&csd->flags, 0);
	machine_wake(&csd->flags);
}

static void csd_queue(int cpu, struct call_single_data *csd)
{
	if (llist_add(&csd->llist, per_cpu_ptr(call_queue, cpu)))
		machine_raise_irq(cpu, IRQ_CALL);
}

/* Waiting with interrupts off for a CPU that may wait for us the same way never ends. */
static void check_call_context(bool wait)
{
	struct cpu *cpu = this_cpu();

	if (unlikely((wait && cpu->irq_off) || cpu->irq_depth))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       cpu->preempt_count, cpu->irq_off, cpu->irq_depth);
}

/* Interrupts are off, here or on the CPU that was called. */
static void run_func(smp_call_func_t func, void *info)
{
	struct balance before = balance_here();

	trace_event(EVENT_CALL_RUN, (u64)func, (u64)info);
	func(info);
	check_balance(func, before);
}

static void call_here(smp_call_func_t func, void *info)
{
	u32 flags = local_irq_save();

	run_func(func, info);
	local_irq_restore(flags);
}

int smp_call_function_single(int cpu, smp_call_func_t func, void *info, bool wait)
{
	struct call_single_data on_stack, *csd = &on_stack;
	int error = 0;

	check_call_context(wait);
	preempt_disable();
	if (cpu == (int)smp_processor_id()) {
		call_here(func, info);
	} else if (cpu < 0 || cpu >= (int)num_cpus() || !cpu_online(cpu)) {
		error = -ENXIO;
	} else {
		trace_event(EVENT_CALL_SEND, (u64)func, 1);
		if (wait) {
			csd->flags = CSD_FLAG_LOCK | CSD_TYPE_SYNC;
		} else {
			csd = this_cpu_ptr(async_csd);
			csd_lock(csd, cpu, 0);
		}
		csd->func = func;
		csd->info = info;
		csd->unacked = NULL;
		csd_queue(cpu, csd);
		if (wait)
			csd_lock_wait(csd, cpu);
	}
	preempt_enable();
	return error;
}

int smp_call_function_single_async(int cpu, struct call_single_data *csd)
{
	int error = 0;

	preempt_disable();
	/* Whoever had it is done with it; pairs with csd_unlock(). */
	if (smp_load_acquire(&csd->flags) & CSD_FLAG_LOCK) {
		error = -EBUSY;
	} else if (cpu < 0 || cpu >= (int)num_cpus() || !cpu_online(cpu)) {
		error = -ENXIO;
	} else {
		WRITE_ONCE(csd->flags, CSD_FLAG_LOCK);
		csd->unacked = NULL;
		smp_wmb(); /* The lock before the csd is seen on the queue. */
		if (cpu == (int)smp_processor_id()) {
			smp_call_func_t func = csd->func;
			void *info = csd->info;

			csd_unlock(csd);
			call_here(func, info);
		} else {
			csd_queue(cpu, csd);
		}
	}
	preempt_enable();
	return error;
}

cpumask_t smp_unacked(const struct wait_note *note)
{
	const struct call_function_data *data = (const struct call_function_data *)note->object;
	cpumask_t left = 0;
	bool many = false;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		many |= data == per_cpu_ptr(call_data, cpu);
	if (!many)
		return note->value;
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (note->value & cpumask_of(cpu) &&
		    READ_ONCE(data->csd[cpu].flags) & CSD_FLAG_LOCK)
			left |= cpumask_of(cpu);
	}
	return left;
}

static __passed_over void wait_for_acks(struct call_function_data *data, cpumask_t mask)
{
	struct wait_note before = wait_begin(WAIT_CROSS_CALL, data, mask);

	machine_waits_for_cpus(mask);
	machine_wait_clear(&data->unacked, ~0u);
	wait_end(before);
}

/* Preemption is off, so that this CPU's data has one user and no target goes away. */
static void call_many(cpumask_t mask, smp_call_func_t func, void *info, bool wait)
{
	struct call_function_data *data = this_cpu_ptr(call_data);
	u32 targets = __builtin_popcountl(mask);

	trace_event(EVENT_CALL_SEND, (u64)func, targets);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (mask & cpumask_of(cpu))
			csd_lock(&data->csd[cpu], cpu, wait ? CSD_TYPE_SYNC : 0);
	}
	if (wait)
		WRITE_ONCE(data->unacked, targets);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct call_single_data *csd = &data->csd[cpu];

		if (!(mask & cpumask_of(cpu)))
			continue;
		csd->func = func;
		csd->info = info;
		csd->unacked = wait ? &data->unacked : NULL;
		csd_queue(cpu, csd);
	}
}

void smp_call_function_many(cpumask_t mask, smp_call_func_t func, void *info, bool wait)
{
	check_call_context(wait);
	preempt_disable();
	mask &= online_others();
	if (mask) {
		call_many(mask, func, info, wait);
		if (wait)
			wait_for_acks(this_cpu_ptr(call_data), mask);
	}
	preempt_enable();
}

void on_each_cpu(smp_call_func_t func, void *info, bool wait)
{
	cpumask_t others;

	check_call_context(wait);
	preempt_disable();
	others = online_others();
	if (others)
		call_many(others, func, info, wait);
	call_here(func, info);
	if (others && wait)
		wait_for_acks(this_cpu_ptr(call_data), others);
	preempt_enable();
}

static void run_sync(struct call_single_data *csd)
{
	u32 *unacked = csd->unacked;

	run_func(csd->func, csd->info);
	csd_unlock(csd);
	/* The count lies in its sender's per-CPU data: the sender waits for 0. */
	if (unacked)
		machine_count_down(unacked);
}

static void run_async(struct call_single_data *csd)
{
	smp_call_func_t func = csd->func;
	void *info = csd->info;

	csd_unlock(csd);
	run_func(func, info);
}

void generic_smp_call_function_interrupt(void)
{
	struct llist_node *list = llist_reverse_order(llist_del_all(this_cpu_ptr(call_queue)));
	struct llist_node **link = &list, *node, *next;

	/* First those that somebody waits for; what is left is asynchronous. */
	for (node = list; node; node = next) {
		struct call_single_data *csd = container_of(node, struct call_single_data, llist);

		next = node->next;
		if (csd->flags & CSD_TYPE_SYNC) {
			*link = next;
			run_sync(csd);
		} else {
			link = &node->next;
		}
	}
	for (node = list; node; node = next) {
		next = node->next;
		run_async(container_of(node, struct call_single_data, llist));
	}
}

static void do_sync_core(void *info)
{
	sync_core();
}

void sync_each_cpu(void)
{
	/* Text before the CPUs that are asked; pairs with xchg() in cpuhp_report_idle_dead(). */
	smp_mb();
	on_each_cpu(do_sync_core, NULL, true);
}

void smpcfd_dying_cpu(void)
{
	generic_smp_call_function_interrupt();
	irq_work_run();
}
