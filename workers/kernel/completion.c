// SPDX-License-Identifier: MIT
/* Completions. The waiter leaves only under the lock, so one on a stack may go when it returns. */
#include <kernel/completion.h>
#include <kernel/timer.h>

struct completion_waiter {
	struct list_head list;
	struct task_struct *task;
};

void init_completion(struct completion *x)
{
	x->done = 0;
	x->lock.owner = 0;
	INIT_LIST_HEAD(&x->waiters);
	machine_lock_made(&x->lock.owner);
}

void reinit_completion(struct completion *x)
{
	WRITE_ONCE(x->done, 0);
}

/* Under x->lock: take one completion if there is one. completion_done() looks without it. */
static bool consume(struct completion *x)
{
	if (!x->done)
		return false;
	if (x->done != COMPLETION_ALL)
		WRITE_ONCE(x->done, x->done - 1);
	return true;
}

/* Ticks that were left of @timeout, at least 1; 0 = it timed out. */
static u64 wait_for(struct completion *x, u64 timeout)
{
	struct completion_waiter waiter = { .task = current };
	bool taken = true;
	struct wait_note before;
	u32 flags;

	might_sleep();
	flags = spin_lock_irqsave(&x->lock);
	if (consume(x)) {
		spin_unlock_irqrestore(&x->lock, flags);
		return timeout ?: 1;
	}
	INIT_LIST_HEAD(&waiter.list);
	before = wait_begin(WAIT_COMPLETION, x, 0);
	do {
		/* complete() takes off the list whom it wakes. */
		if (list_empty(&waiter.list))
			list_add_tail(&waiter.list, &x->waiters);
		set_current_blocked();
		spin_unlock_irqrestore(&x->lock, flags);
		timeout = schedule_timeout(timeout);
		flags = spin_lock_irqsave(&x->lock);
		taken = consume(x);
	} while (!taken && timeout);
	set_current_running();
	wait_end(before);
	if (!list_empty(&waiter.list))
		list_del(&waiter.list);
	spin_unlock_irqrestore(&x->lock, flags);
	if (!taken)
		return 0;
	return timeout ?: 1;
}

void wait_for_completion(struct completion *x)
{
	wait_for(x, MAX_SCHEDULE_TIMEOUT);
}

u64 wait_for_completion_timeout(struct completion *x, u64 timeout)
{
	return wait_for(x, timeout);
}

bool try_wait_for_completion(struct completion *x)
{
	bool done;
	u32 flags;

	if (!READ_ONCE(x->done))
		return false;
	flags = spin_lock_irqsave(&x->lock);
	done = consume(x);
	spin_unlock_irqrestore(&x->lock, flags);
	return done;
}

bool completion_done(struct completion *x)
{
	u32 flags;

	if (!READ_ONCE(x->done))
		return false;
	/* Who completes may still hold the lock: wait until it has let go. */
	flags = spin_lock_irqsave(&x->lock);
	spin_unlock_irqrestore(&x->lock, flags);
	return true;
}

static void wake_first(struct completion *x)
{
	struct completion_waiter *waiter;

	waiter = list_first_entry(&x->waiters, struct completion_waiter, list);
	list_del_init(&waiter->list);
	wake_up_process(waiter->task);
}

void complete(struct completion *x)
{
	u32 flags = spin_lock_irqsave(&x->lock);

	if (x->done != COMPLETION_ALL)
		WRITE_ONCE(x->done, x->done + 1);
	if (!list_empty(&x->waiters))
		wake_first(x);
	spin_unlock_irqrestore(&x->lock, flags);
}

void complete_all(struct completion *x)
{
	u32 flags = spin_lock_irqsave(&x->lock);

	WRITE_ONCE(x->done, COMPLETION_ALL);
	while (!list_empty(&x->waiters))
		wake_first(x);
	spin_unlock_irqrestore(&x->lock, flags);
}
