// SPDX-License-Identifier: MIT
/* States of rcu_sync: who enters first waits for the grace period, the others wait for it. */
#include <finding.h>
#include <kernel/rcu_sync.h>
#include <kernel/sched.h>

struct rcu_sync_waiter {
	struct list_head list;
	struct task_struct *task;
	u32 woken;            /* 1 = it may go; who wakes writes */
};

void rcu_sync_init(struct rcu_sync *rss)
{
	*rss = (struct rcu_sync){ 0 };
	INIT_LIST_HEAD(&rss->waiters);
	machine_lock_made(&rss->lock.owner);
}

static void wake_all(struct rcu_sync *rss)
{
	while (!list_empty(&rss->waiters)) {
		struct rcu_sync_waiter *first;
		struct task_struct *task;

		first = list_first_entry(&rss->waiters, struct rcu_sync_waiter, list);
		task = first->task;
		list_del(&first->list);
		/* The waiter's stack frame may be gone after this. */
		smp_store_release(&first->woken, 1);
		wake_up_process(task);
	}
}

/* Under lock: a grace period has passed since the state was set. */
static void rcu_sync_passed(struct rcu_head *head);

static void grace_period_over(struct rcu_sync *rss)
{
	u32 flags = spin_lock_irqsave(&rss->lock);
	bool again = false;

	if (rss->count) {
		WRITE_ONCE(rss->state, RCU_SYNC_PASSED);
		wake_all(rss);
	} else if (rss->state == RCU_SYNC_REPLAY) {
		/* Somebody was inside meanwhile: readers may have been on the slow path since. */
		WRITE_ONCE(rss->state, RCU_SYNC_EXIT);
		again = true;
	} else {
		WRITE_ONCE(rss->state, RCU_SYNC_IDLE);
	}
	spin_unlock_irqrestore(&rss->lock, flags);
	if (again)
		call_rcu(&rss->head, rcu_sync_passed);
}

static void rcu_sync_passed(struct rcu_head *head)
{
	grace_period_over(container_of(head, struct rcu_sync, head));
}

static void wait_until_passed(struct rcu_sync *rss)
{
	struct rcu_sync_waiter waiter = { .task = current };
	u32 flags = spin_lock_irqsave(&rss->lock);

	if (rss->state >= RCU_SYNC_PASSED) {
		spin_unlock_irqrestore(&rss->lock, flags);
		return;
	}
	list_add_tail(&waiter.list, &rss->waiters);
	spin_unlock_irqrestore(&rss->lock, flags);
	for (;;) {
		struct wait_note before;

		/* Blocked before the test, the test before sleeping; pairs with wake_all(). */
		set_current_blocked();
		if (smp_load_acquire(&waiter.woken))
			break;
		before = wait_begin(WAIT_RCU_SYNC, rss, 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
}

void rcu_sync_enter(struct rcu_sync *rss)
{
	u32 flags = spin_lock_irqsave(&rss->lock);
	bool first = rss->state == RCU_SYNC_IDLE;

	if (first)
		WRITE_ONCE(rss->state, RCU_SYNC_ENTER);
	rss->count++;
	spin_unlock_irqrestore(&rss->lock, flags);
	if (first) {
		/* Who saw the state idle has left its reader. */
		synchronize_rcu();
		grace_period_over(rss);
	} else {
		wait_until_passed(rss);
	}
}

void rcu_sync_exit(struct rcu_sync *rss)
{
	u32 flags = spin_lock_irqsave(&rss->lock);
	bool call = false;

	if (unlikely(!rss->count || rss->state < RCU_SYNC_PASSED))
		report_finding(FINDING_BAD_STATE, NULL, (u64)rss, rss->state, RCU_SYNC_PASSED);
	if (!--rss->count) {
		call = rss->state == RCU_SYNC_PASSED;
		WRITE_ONCE(rss->state, call ? RCU_SYNC_EXIT : RCU_SYNC_REPLAY);
	}
	spin_unlock_irqrestore(&rss->lock, flags);
	/* Readers of the slow path before those of the fast one. */
	if (call)
		call_rcu(&rss->head, rcu_sync_passed);
}

void rcu_sync_dtor(struct rcu_sync *rss)
{
	u32 flags;

	for (;;) {
		bool idle;

		flags = spin_lock_irqsave(&rss->lock);
		if (rss->state == RCU_SYNC_REPLAY)
			WRITE_ONCE(rss->state, RCU_SYNC_EXIT);
		idle = rss->state == RCU_SYNC_IDLE;
		spin_unlock_irqrestore(&rss->lock, flags);
		if (idle)
			return;
		rcu_barrier();
	}
}
