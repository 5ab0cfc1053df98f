// SPDX-License-Identifier: MIT
/*
 * A flush waits for what was queued before it, also where an item sleeps until the next one of its
 * CPU has run; then a queue is gone, and an item of another CPU is freed.
 */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/slab.h>
#include <kernel/workqueue.h>

struct item {
	struct work_struct work;
	u32 done;
};

static DECLARE_COMPLETION(second_runs);
static struct workqueue_struct *queue;
static struct item *item;
static u32 done[2];

static void first_function(struct work_struct *work)
{
	wait_for_completion(&second_runs);
	WRITE_ONCE(done[0], 1);
}

static void second_function(struct work_struct *work)
{
	complete(&second_runs);
	WRITE_ONCE(done[1], 1);
}

static void item_function(struct work_struct *work)
{
	container_of(work, struct item, work)->done = 1;
}

static DECLARE_WORK(first, first_function);
static DECLARE_WORK(second, second_function);

INIT
{
	queue = alloc_workqueue("explored", 0, 0);
	item = kzalloc(sizeof(*item), GFP_KERNEL);
	INIT_WORK(&item->work, item_function);
}

TASK(0, queues)
{
	preempt_disable();
	schedule_work_on(1, &item->work);
	queue_work(queue, &first);
	queue_work(queue, &second);
	preempt_enable();
	flush_work(&item->work);
	claim(item->done, item->done);
	kfree(item);
	flush_work(&second);
	claim(done[1], done[1]);
	flush_workqueue(queue);
	claim(done[0], done[0]);
	destroy_workqueue(queue);
}

EXPLORE_CPUS(2);
