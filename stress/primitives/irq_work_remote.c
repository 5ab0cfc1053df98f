// SPDX-License-Identifier: MIT
/* Two CPUs queue irq_work on a third: each item is freed once irq_work_sync() has returned. */
#include <explore.h>
#include <kernel/irq_work.h>
#include <kernel/slab.h>

struct item {
	struct irq_work work;
	u32 done;
};

static void work_function(struct irq_work *work)
{
	struct item *item = container_of(work, struct item, work);

	claim(!item->done && smp_processor_id() == 2, item->done, smp_processor_id());
	item->done = 1;
}

static void queue_one(void)
{
	struct item *item = kzalloc(sizeof(*item), GFP_KERNEL);

	init_irq_work(&item->work, work_function);
	claim(irq_work_queue_on(&item->work, 2), 0);
	irq_work_sync(&item->work);
	claim(item->done, item->done);
	kfree(item);
}

EXPLORE_CPUS(3);

TASK(0, left) { queue_one(); }
TASK(1, right) { queue_one(); }
