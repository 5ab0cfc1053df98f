// SPDX-License-Identifier: MIT
/*
 * A timer is armed again on another CPU while its function may run: it never runs on two at the
 * same time, fires once more after it was armed, and sees what was written before that.
 */
#include <explore.h>
#include <kernel/timer.h>

static void expired(struct timer_list *timer);
static DEFINE_TIMER(timer, expired);
static u32 wanted, seen, running;

static void expired(struct timer_list *expires)
{
	claim(!atomic_fetch_add(1, &running), running);
	WRITE_ONCE(seen, READ_ONCE(wanted));
	atomic_dec(&running);
}

TASK(0, first)
{
	mod_timer(&timer, jiffies + 1);
}

TASK(1, second)
{
	WRITE_ONCE(wanted, 1);
	mod_timer(&timer, jiffies + 2);
}

FINAL_CHECK
{
	claim(seen == 1 && !timer_pending(&timer), seen);
}
