// SPDX-License-Identifier: MIT
/*
 * A timer whose function queues work, and the work arms the timer: an object with both is freed
 * after timer_shutdown_sync() and cancel_work_sync(), whoever was under way.
 */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/workqueue.h>

struct object {
	struct timer_list timer;
	struct work_struct work;
};

static struct object *object;

static void expired(struct timer_list *timer)
{
	struct object *expires = from_timer(expires, timer, timer);

	schedule_work(&expires->work);
}

static void rearm(struct work_struct *work)
{
	mod_timer(&container_of(work, struct object, work)->timer, jiffies + 1);
}

INIT
{
	workqueue_start();
	object = kzalloc(sizeof(*object), GFP_KERNEL);
	timer_setup(&object->timer, expired, 0);
	INIT_WORK(&object->work, rearm);
	schedule_work_on(1, &object->work);
}

TASK(0, removes)
{
	timer_shutdown_sync(&object->timer);
	cancel_work_sync(&object->work);
	claim(!timer_pending(&object->timer) && !work_busy(&object->work), 0);
	kfree(object);
}

EXPLORE_CPUS(2);
