// SPDX-License-Identifier: MIT
/*
 * A lock-free list of each CPU, and an interrupt for the first one on it.
 *
 * Source: Linux kernel/irq_work.c (v6.12). There, who is the first of two CPUs to have run the
 * function makes the work idle, and irq_work_sync() misses the other one; here they are counted.
 */
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/irq_work.h>
#include <kernel/sched.h>
#include <percpu.h>

static DEFINE_PER_CPU(struct llist_head, queue);

/* False = somebody has it, whose run comes after this: the operation is a full barrier. */
static bool claim_work(struct irq_work *work)
{
	if (atomic_fetch_or(IRQ_WORK_PENDING, &work->flags) & IRQ_WORK_PENDING)
		return false;
	atomic_fetch_add(IRQ_WORK_BUSY, &work->flags);
	return true;
}

bool irq_work_queue_on(struct irq_work *work, int cpu)
{
	if (!claim_work(work))
		return false;
	if (llist_add(&work->llist, per_cpu_ptr(queue, cpu)))
		machine_raise_irq(cpu, IRQ_WORK);
	return true;
}

bool irq_work_queue(struct irq_work *work)
{
	/* It comes when they are on again, where it may take the CPU, and the core. */
	u32 flags = local_irq_save();
	bool queued = irq_work_queue_on(work, smp_processor_id());

	local_irq_restore(flags);
	return queued;
}

static void run_work(struct irq_work *work)
{
	void (*func)(struct irq_work *work) = work->func;
	struct balance before = balance_here();

	/* Who finds it pending is seen by func(): cleared before, in one full barrier. */
	atomic_fetch_and(~IRQ_WORK_PENDING, &work->flags);
	func(work);
	check_balance(func, before);
	atomic_sub_return(IRQ_WORK_BUSY, &work->flags);
	machine_wake(&work->flags);
}

void irq_work_run(void)
{
	struct llist_node *node = llist_reverse_order(llist_del_all(this_cpu_ptr(queue)));
	struct llist_node *next;

	for (; node; node = next) {
		/* Once it is not pending somebody may queue it, and the node is theirs. */
		next = node->next;
		run_work(container_of(node, struct irq_work, llist));
	}
}

__passed_over void irq_work_sync(struct irq_work *work)
{
	struct cpu *cpu = this_cpu();
	struct wait_note before;
	u32 flags;

	if (unlikely(cpu->irq_off || cpu->irq_depth))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       cpu->preempt_count, cpu->irq_off, cpu->irq_depth);
	before = wait_begin(WAIT_IRQ_WORK, work, 0);
	/* Pairs with the end of run_work(): what func() did is seen. */
	while ((flags = smp_load_acquire(&work->flags)))
		machine_relax_while(&work->flags, flags);
	wait_end(before);
}
