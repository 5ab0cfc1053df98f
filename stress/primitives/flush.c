// SPDX-License-Identifier: MIT
/*
 * A flush waits for what was queued before it, also where an item sleeps until the next one of its
 * CPU has run; and a queue is gone when all of it has run.
 */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/workqueue.h>

static DECLARE_COMPLETION(second_runs);
static struct workqueue_struct *queue;
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

static DECLARE_WORK(first, first_function);
static DECLARE_WORK(second, second_function);

INIT
{
	queue = alloc_workqueue("explored", 0, 0);
}

TASK(0, queues)
{
	queue_work(queue, &first);
	queue_work(queue, &second);
	flush_work(&second);
	claim(done[1], done[1]);
	flush_workqueue(queue);
	claim(done[0], done[0]);
	destroy_workqueue(queue);
}

EXPLORE_CPUS(1);
