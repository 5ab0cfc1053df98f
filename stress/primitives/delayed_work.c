// SPDX-License-Identifier: MIT
/*
 * Delayed work that queues itself again is cancelled, wherever it is: then it neither runs nor
 * comes back, and its memory is freed.
 */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/workqueue.h>

struct poll {
	struct delayed_work work;
	u32 runs;
};

static struct poll *poll;

static void poll_function(struct work_struct *work)
{
	struct poll *runs = container_of(to_delayed_work(work), struct poll, work);

	runs->runs++;
	schedule_delayed_work(&runs->work, 1);
}

INIT
{
	workqueue_start();
	poll = kzalloc(sizeof(*poll), GFP_KERNEL);
	INIT_DELAYED_WORK(&poll->work, poll_function);
	queue_delayed_work_on(1, system_wq, &poll->work, 1);
}

TASK(0, cancels)
{
	cancel_delayed_work_sync(&poll->work);
	claim(!work_busy(&poll->work.work) && !timer_pending(&poll->work.timer), poll->runs);
	kfree(poll);
}

EXPLORE_CPUS(2);
