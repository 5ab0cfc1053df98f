// SPDX-License-Identifier: MIT
/* An object is freed once its timer has been deleted: its function does not run any more. */
#include <explore.h>
#include <kernel/slab.h>
#include <kernel/timer.h>

struct object {
	struct timer_list timer;
	u32 calls;
};

static struct object *object;
static u32 armed;

static void expired(struct timer_list *timer)
{
	struct object *expires = from_timer(expires, timer, timer);

	claim(time_after_eq(jiffies, timer->expires), timer->expires);
	expires->calls++;
	claim(expires->calls == 1, expires->calls);
}

INIT
{
	object = kzalloc(sizeof(*object), GFP_KERNEL);
	timer_setup(&object->timer, expired, 0);
}

TASK(0, arms)
{
	mod_timer(&object->timer, jiffies + 2);
	WRITE_ONCE(armed, 1);
}

TASK(1, deletes)
{
	bool is_armed = READ_ONCE(armed), was_pending;

	was_pending = timer_delete_sync(&object->timer);
	if (!is_armed)
		return;
	claim(was_pending == !object->calls, was_pending, object->calls);
	kfree(object);
	object = NULL;
}

FINAL_CHECK
{
	kfree(object);
}
