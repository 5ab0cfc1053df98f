// SPDX-License-Identifier: MIT
/*
 * Readers and writers of RCU, in the spirit of kernel/rcu/rcutorture.c. A writer
 * replaces its element, and frees the old one after a grace period; a reader that
 * still holds it then has met a grace period that was too short.
 */
#include <finding.h>
#include <kernel/kthread.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

enum rcu_reader { READ_PREEMPT_OFF, READ_IRQS_OFF, READ_NESTED, READERS };

struct rcu_element {
	struct rcu_head head;
	u64 token;            /* says which element it is; never 0 */
};

/* One writer's; the writer alone writes. */
struct rcu_place {
	struct rcu_element *element; /* RCU; NULL = none yet */
} __cacheline_aligned;

struct rcu_torture {
	u32 writers;
	u32 delay;            /* longest time in a reader, cycles */
	u32 call_per_mille;   /* elements freed by call_rcu() */
	u32 pad;
	struct rcu_place place[MAX_TASKS];
};

/* One task; it alone writes. */
struct rcu_task {
	struct rcu_torture *torture;
	u64 random;           /* state of its generator, not 0 */
	u64 reads[READERS];
	u64 grace_periods;    /* waited for */
	u64 callbacks;        /* queued */
	u64 number;           /* of its kind */
} __cacheline_aligned;

static u32 below(u64 *random, u32 limit)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return ((*random * 0x2545f4914f6cdd1dUL) >> 32) * limit >> 32;
}

static void spin(u64 cycles)
{
	u64 start = machine_cycles();

	while (machine_cycles() - start < cycles)
		barrier();
}

/* In a reader: what is found at the start must be there till the end. */
static void read_element(struct rcu_task *task)
{
	struct rcu_torture *torture = task->torture;
	struct rcu_place *place = &torture->place[below(&task->random, torture->writers)];
	const struct rcu_element *element = smp_load_acquire(&place->element);
	u64 token;

	if (!element || !slab_check(element, sizeof(*element)))
		return;
	token = READ_ONCE(element->token);
	spin(below(&task->random, torture->delay + 1));
	if (slab_check(element, sizeof(*element)) && READ_ONCE(element->token) != token)
		report_finding(FINDING_CLAIM, NULL, (u64)element, element->token, token);
}

static void read_once(struct rcu_task *task, enum rcu_reader reader)
{
	u32 flags;

	switch (reader) {
	case READ_IRQS_OFF:
		flags = local_irq_save();
		read_element(task);
		local_irq_restore(flags);
		break;
	case READ_NESTED:
		rcu_read_lock();
		read_element(task);
		rcu_read_lock();
		read_element(task);
		rcu_read_unlock();
		read_element(task);
		rcu_read_unlock();
		break;
	default:
		rcu_read_lock();
		read_element(task);
		rcu_read_unlock();
	}
	task->reads[reader]++;
}

s64 rcu_reader(void *argument)
{
	struct rcu_task *task = argument;

	while (!READ_ONCE(the_machine->stop)) {
		read_once(task, below(&task->random, READERS));
		current->progress++;
		cond_resched();
	}
	return 0;
}

static void free_element(struct rcu_head *head)
{
	kfree(container_of(head, struct rcu_element, head));
}

/* Put a new element, or none, in the place of the old one, which nobody can find any more. */
static void replace(struct rcu_task *task, struct rcu_element *element)
{
	struct rcu_place *place = &task->torture->place[task->number];
	struct rcu_element *old = place->element;

	smp_store_release(&place->element, element);
	if (!old)
		return;
	if (below(&task->random, 1000) < task->torture->call_per_mille) {
		call_rcu(&old->head, free_element);
		/* Those of one writer must not fill the memory. */
		if (++task->callbacks % 64 == 0)
			rcu_barrier();
	} else {
		synchronize_rcu();
		kfree(old);
		task->grace_periods++;
	}
}

s64 rcu_writer(void *argument)
{
	struct rcu_task *task = argument;

	while (!READ_ONCE(the_machine->stop)) {
		struct rcu_element *element = kzalloc(sizeof(*element), GFP_KERNEL);

		if (element) {
			element->token = task->random;
			replace(task, element);
		}
		current->progress++;
		/* Not in step with the grace periods of others. */
		spin(below(&task->random, task->torture->delay + 1));
		cond_resched();
	}
	replace(task, NULL);
	rcu_barrier();
	return 0;
}
