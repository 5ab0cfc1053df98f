// SPDX-License-Identifier: MIT
/* The function of a timer takes a lock, which nobody holds who waits for the function to end. */
#include <explore.h>
#include <kernel/spinlock.h>
#include <kernel/timer.h>

static void expired(struct timer_list *timer);
static DEFINE_TIMER(timer, expired);
static DEFINE_SPINLOCK(lock);
static u32 count, ended;

static void expired(struct timer_list *expires)
{
	spin_lock(&lock);
	count++;
	if (!ended)
		mod_timer(&timer, jiffies + 1);
	spin_unlock(&lock);
}

TASK(0, arms)
{
	spin_lock_bh(&lock);
	if (!ended)
		mod_timer(&timer, jiffies + 1);
	spin_unlock_bh(&lock);
}

TASK(1, ends)
{
	u32 before;

	spin_lock_bh(&lock);
	ended = 1;
	spin_unlock_bh(&lock);
	timer_delete_sync(&timer);
	before = READ_ONCE(count);
	claim(before == count, before, count);
}
