// SPDX-License-Identifier: MIT
/*
 * SRCU for those who do not wait: callbacks, and grace periods that are asked for and polled.
 *
 * Who queues a callback may hold a run queue's lock, so it only raises an interrupt of its own
 * CPU. That queues a work, which drives the grace periods that are wanted, as far as it gets
 * without sleeping for readers: it comes again when one of those that are in its way leaves.
 * Callbacks are run by a work of the CPU that queued them, in their order.
 */
#include "srcu_internal.h"

#include <kernel/balance.h>
#include <kernel/sched.h>
#include <percpu.h>

/* Why a work could not be queued: no task has called workqueue_start(). */
#define NO_WORKERS 0

static void queue_on(u32 cpu, const struct srcu_struct *ssp, struct work_struct *work)
{
	if (unlikely(!system_wq))
		report_finding(FINDING_BAD_STATE, NULL, (u64)ssp, NO_WORKERS, 1);
	queue_work_on(cpu, system_wq, work);
}

void srcu_start_work(struct srcu_struct *ssp)
{
	queue_on(smp_processor_id(), ssp, &ssp->work);
}

static void start_callbacks(struct srcu_struct *ssp)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct srcu_data *sdp = &ssp->sda[cpu];

		if (smp_load_acquire(&sdp->ssp) && rcu_segcblist_n_cbs(&sdp->cblist))
			queue_on(cpu, ssp, &sdp->work);
	}
}

/* Under gp_mutex. True = all grace periods that are wanted have ended. */
static bool drive(struct srcu_struct *ssp)
{
	while (!rcu_seq_done(&ssp->seq, READ_ONCE(ssp->needed))) {
		if (srcu_advance_state(ssp, SRCU_TRIES))
			continue;
		srcu_add_waiter(&ssp->waiter, ssp, ssp->idx ^ 1);
		if (srcu_ask_readers(ssp, ssp->idx ^ 1, &ssp->waiter))
			return false;
		srcu_forget_waiter(&ssp->waiter);
	}
	return true;
}

void srcu_process(struct work_struct *work)
{
	struct srcu_struct *ssp = container_of(work, struct srcu_struct, work);

	/* Wanted before the mutex is tried, so who has it sees it later: see srcu_unlock(). */
	WRITE_ONCE(ssp->work_wanted, 1);
	smp_mb();
	if (!mutex_trylock(&ssp->gp_mutex))
		return;
	srcu_forget_waiter(&ssp->waiter);
	WRITE_ONCE(ssp->work_wanted, 0);
	smp_mb(); /* Before it is looked at what is needed; pairs with that of want(). */
	/* While it waits, somebody else may drive instead, and has to say so. */
	if (!drive(ssp))
		WRITE_ONCE(ssp->work_wanted, 1);
	mutex_unlock(&ssp->gp_mutex);
	start_callbacks(ssp);
}

void srcu_request(struct irq_work *work)
{
	srcu_start_work(container_of(work, struct srcu_struct, irq_work));
}

/* See to it that seq comes to @snap. Any context but NMI. */
static void want(struct srcu_struct *ssp, u64 snap)
{
	u64 needed = READ_ONCE(ssp->needed);

	while ((s64)(snap - needed) > 0) {
		u64 seen = cmpxchg(&ssp->needed, needed, snap);

		if (seen == needed) {
			irq_work_queue(&ssp->irq_work);
			return;
		}
		needed = seen;
	}
}

static void invoke_callbacks(struct work_struct *work);

/* Under sdp->cb_lock. */
static void init_callbacks(struct srcu_struct *ssp, struct srcu_data *sdp)
{
	if (sdp->ssp)
		return;
	INIT_WORK(&sdp->work, invoke_callbacks);
	/* The work before who sees that there are callbacks; pairs with start_callbacks(). */
	smp_store_release(&sdp->ssp, ssp);
}

static void run_callback(struct srcu_struct *ssp, struct rcu_head *head)
{
	void (*func)(struct rcu_head *head) = head->func;
	struct balance before = balance_here();

	machine_callback_runs(ssp, head);
	func(head);
	check_balance(func, before);
}

static s64 run_callbacks(struct srcu_struct *ssp, struct rcu_head *head)
{
	s64 count = 0;

	for (; head; count++) {
		struct rcu_head *next = head->next;

		run_callback(ssp, head);
		cond_resched();
		head = next;
	}
	return count;
}

static void invoke_callbacks(struct work_struct *work)
{
	struct srcu_data *sdp = container_of(work, struct srcu_data, work);
	s64 count = 0;

	for (;;) {
		u32 flags = spin_lock_irqsave(&sdp->cb_lock);
		struct rcu_head *ready;

		/* While they ran they counted, so that srcu_barrier() came behind them. */
		rcu_segcblist_add_len(&sdp->cblist, -count);
		rcu_segcblist_advance(&sdp->cblist, rcu_seq_current(&sdp->ssp->seq));
		ready = rcu_segcblist_extract_done_cbs(&sdp->cblist);
		spin_unlock_irqrestore(&sdp->cb_lock, flags);
		if (!ready)
			return;
		smp_mb(); /* The end of the grace period before them; pairs with rcu_seq_end(). */
		count = run_callbacks(sdp->ssp, ready);
	}
}

/* In a section of the domain, so that not more than one grace period ends meanwhile. */
static u64 enqueue(struct srcu_struct *ssp, struct rcu_head *head)
{
	struct srcu_data *sdp = this_srcu_data(ssp);
	u32 flags = spin_lock_irqsave(&sdp->cb_lock);
	u64 snap;

	init_callbacks(ssp, sdp);
	rcu_segcblist_enqueue(&sdp->cblist, head);
	smp_mb(); /* What the caller removed, and the callback, before the sequence is read. */
	/*
	 * What it waits for first, then what has come to its end: if one ends in between there
	 * is room in the list for the callback. The other way round there may be none.
	 */
	snap = rcu_seq_snap(&ssp->seq);
	rcu_segcblist_advance(&sdp->cblist, rcu_seq_current(&ssp->seq));
	rcu_segcblist_accelerate(&sdp->cblist, snap);
	spin_unlock_irqrestore(&sdp->cb_lock, flags);
	return snap;
}

void call_srcu(struct srcu_struct *ssp, struct rcu_head *head,
	       void (*func)(struct rcu_head *head))
{
	u32 idx = __srcu_read_lock(ssp);

	head->func = func;
	machine_callback_queued(ssp, head);
	want(ssp, enqueue(ssp, head));
	__srcu_read_unlock(ssp, idx);
}

u64 get_state_synchronize_srcu(struct srcu_struct *ssp)
{
	u64 cookie;

	smp_mb(); /* The caller's removals before the sequence is read. */
	cookie = rcu_seq_snap(&ssp->seq);
	machine_cookie_taken(ssp, cookie);
	return cookie;
}

u64 start_poll_synchronize_srcu(struct srcu_struct *ssp)
{
	u32 idx = __srcu_read_lock(ssp);
	u64 snap = get_state_synchronize_srcu(ssp);

	want(ssp, snap);
	__srcu_read_unlock(ssp, idx);
	return snap;
}

bool poll_state_synchronize_srcu(struct srcu_struct *ssp, u64 cookie)
{
	if (!rcu_seq_done(&ssp->seq, cookie))
		return false;
	smp_mb(); /* The end before what the caller does next; pairs with rcu_seq_end(). */
	machine_cookie_passed(ssp, cookie);
	return true;
}

static void put_barrier(struct srcu_struct *ssp)
{
	if (atomic_dec_and_test(&ssp->barrier_left))
		complete(&ssp->barrier_done);
}

static void barrier_callback(struct rcu_head *head)
{
	put_barrier(container_of(head, struct srcu_data, barrier_head)->ssp);
}

/* Behind all that were queued on this CPU, if there are any. */
static void entrain_barrier(struct srcu_struct *ssp, struct srcu_data *sdp)
{
	u32 flags = spin_lock_irqsave(&sdp->cb_lock);

	init_callbacks(ssp, sdp);
	sdp->barrier_head.func = barrier_callback;
	if (rcu_segcblist_entrain(&sdp->cblist, &sdp->barrier_head))
		atomic_inc(&ssp->barrier_left);
	spin_unlock_irqrestore(&sdp->cb_lock, flags);
}

void srcu_barrier(struct srcu_struct *ssp)
{
	mutex_lock(&ssp->barrier_mutex);
	init_completion(&ssp->barrier_done);
	WRITE_ONCE(ssp->barrier_left, 1);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		entrain_barrier(ssp, &ssp->sda[cpu]);
	put_barrier(ssp);
	wait_for_completion(&ssp->barrier_done);
	mutex_unlock(&ssp->barrier_mutex);
}

/* Nobody uses the domain any more: return when nothing of it is on its way. */
u64 srcu_flush_work(struct srcu_struct *ssp)
{
	u64 left = 0;

	irq_work_sync(&ssp->irq_work);
	flush_work(&ssp->work);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct srcu_data *sdp = &ssp->sda[cpu];

		if (sdp->ssp)
			flush_work(&sdp->work);
		left += rcu_segcblist_n_cbs(&sdp->cblist);
	}
	return left;
}
