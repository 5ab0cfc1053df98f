// SPDX-License-Identifier: MIT
/*
 * A softirq runs each time that it was raised: by a cross call, also of a CPU with nothing to do,
 * by an interrupt, and with softirqs off, when they are on again; not into itself, and not where
 * its lock is held.
 */
#include <explore.h>
#include <kernel/smp.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>
#include <percpu.h>

struct counts {
	u32 raised, seen, running; /* by this CPU alone */
};

static DEFINE_PER_CPU(struct counts, counts);
static DEFINE_SPINLOCK(lock);

static void raise_one(void *unused)
{
	this_cpu_ptr(counts)->raised++;
	raise_softirq(TASKLET_SOFTIRQ);
}

static void action(void)
{
	struct counts *mine = this_cpu_ptr(counts);

	claim(in_serving_softirq() && !irqs_disabled(), preempt_count(), irqs_disabled());
	claim(!mine->running++, mine->running);
	spin_lock(&lock);
	mine->seen = mine->raised;
	spin_unlock(&lock);
	mine->running--;
}

INIT
{
	open_softirq(TASKLET_SOFTIRQ, action);
}

IRQ(1, 1, device) { raise_one(NULL); }

TASK(0, caller)
{
	smp_call_function_single(1, raise_one, NULL, false);
	smp_call_function_single(2, raise_one, NULL, false);
}

TASK(1, called)
{
	struct counts *mine = this_cpu_ptr(counts);

	spin_lock_bh(&lock);
	local_irq_disable();
	raise_one(NULL);
	claim(mine->seen < mine->raised, mine->seen, mine->raised);
	local_irq_enable();
	spin_unlock_bh(&lock);
	local_irq_disable();
	raise_one(NULL);
	local_irq_enable();
	local_irq_disable();
	claim(mine->seen == mine->raised, mine->seen, mine->raised);
	local_irq_enable();
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	for (u32 cpu = 0; cpu < 3; cpu++) {
		const struct counts *its = per_cpu_ptr(counts, cpu);

		claim(its->seen == its->raised, cpu, its->seen, its->raised);
	}
	claim(per_cpu_ptr(counts, 2)->seen == 1, 2);
}
