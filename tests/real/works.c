// SPDX-License-Identifier: MIT
/* Tasks that sleep by timers, and that wait for what cannot come: timers, work, locks. */
#include <kernel/kthread.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>
#include <kernel/timer.h>
#include <kernel/wait.h>
#include <kernel/workqueue.h>

u64 slept_ms[MAX_CPUS];       /* machine time of the last sleep; its CPU writes */
u32 timer_is_running;         /* the function of the timer below has begun */

s64 sleep_for(void *ms)
{
	u64 began = machine_now();

	current->progress++;
	msleep((u64)ms);
	slept_ms[smp_processor_id()] = (machine_now() - began) / NSEC_PER_JIFFY;
	return 0;
}

static void delete_itself(struct timer_list *timer)
{
	timer_delete_sync(timer);
}

static DEFINE_TIMER(own_timer, delete_itself);

s64 arm_own_timer(void *unused)
{
	mod_timer(&own_timer, jiffies);
	msleep(5000);
	return 0;
}

static void flush_itself(struct work_struct *work)
{
	flush_work(work);
}

static DECLARE_WORK(own_work, flush_itself);

s64 queue_own_work(void *unused)
{
	workqueue_start();
	schedule_work(&own_work);
	flush_work(&own_work);
	return 0;
}

static DEFINE_SPINLOCK(timer_lock);

static void take_lock(struct timer_list *timer)
{
	WRITE_ONCE(timer_is_running, 1);
	spin_lock(&timer_lock);
	spin_unlock(&timer_lock);
}

static DEFINE_TIMER(locking_timer, take_lock);

/* On another CPU than the task below. */
s64 arm_locking_timer(void *unused)
{
	while (!READ_ONCE(timer_lock.owner))
		yield();
	mod_timer(&locking_timer, jiffies);
	msleep(20000);
	return 0;
}

s64 delete_under_lock(void *unused)
{
	spin_lock_bh(&timer_lock);
	while (!READ_ONCE(timer_is_running))
		machine_relax_while(&timer_is_running, 0);
	timer_delete_sync(&locking_timer);
	spin_unlock_bh(&timer_lock);
	return 0;
}
