// SPDX-License-Identifier: MIT
/*
 * Waiting for items: flush, cancel, destroy.
 *
 * flush_workqueue() needs two colors: what is queued gets the one of its share of the queue, and
 * a flush waits for the old one after it has changed it; one at a time, so the new one has
 * nobody left.
 *
 * Functions run, and are waited for, under locks that exist only in the record of locks, as in
 * lockdep: one of the item, one of the queue.
 *
 * Source: Linux kernel/workqueue.c (v6.12), start_flush_work(), __cancel_work_sync(),
 * flush_workqueue_prep_pwqs().
 */
#include <error.h>
#include <finding.h>
#include <kernel/slab.h>
#include <kernel/wait.h>
#include <kernel/workqueue_internal.h>

static DECLARE_WAIT_QUEUE_HEAD(cancelers); /* for somebody else to have cancelled */

/* Who waits waits for all locks that it takes, also when it need not wait now. */
static void note_lock(const void *lock)
{
	machine_lock_acquired(lock, 0);
	machine_lock_released(lock);
}

static __passed_over void report_own(const void *object)
{
	report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_FLUSH, (u64)object, 1);
}

/* On the list of flushers, which who completes takes it off. */
static __passed_over void wait_for_flush(struct flusher *flusher, const struct task_struct *runs)
{
	struct wait_note before;

	for (;;) {
		/* Blocked before the test, that before sleeping; pairs with complete_flushers(). */
		set_current_blocked();
		if (smp_load_acquire(&flusher->done))
			break;
		before = wait_begin(WAIT_FLUSH, flusher->work, runs ? runs->index + 1 : 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
}

static __passed_over bool wait_for_work(struct work_struct *work)
{
	struct flusher flusher = { .work = work, .task = current };
	u32 last = READ_ONCE(work->pool), irqs;
	struct worker_pool *pool = &pools[last - 1];
	struct worker *worker;

	if (!last)
		return false;
	irqs = pool_lock(pool);
	worker = find_worker_executing_work(pool, work);
	flusher.runs = !work_is_on_list(work, pool);
	/* Gone, or queued at another pool since: what was queued then has run. */
	if (!worker && flusher.runs) {
		pool_unlock(pool, irqs);
		return false;
	}
	if (unlikely(worker && worker == current_worker()))
		report_own(work);
	list_add_tail(&flusher.list, &pool->flushers);
	pool_unlock(pool, irqs);
	wait_for_flush(&flusher, worker ? worker->task : NULL);
	return true;
}

bool flush_work(struct work_struct *work)
{
	might_sleep();
	note_lock(work);
	return wait_for_work(work);
}

bool flush_delayed_work(struct delayed_work *dwork)
{
	u32 irqs;

	preempt_disable();
	irqs = local_irq_save();
	if (timer_delete(&dwork->timer)) {
		atomic_fetch_or(WORK_TRANSIT, &dwork->work.flags);
		__queue_work(dwork->cpu, dwork->wq, &dwork->work);
	}
	local_irq_restore(irqs);
	preempt_enable();
	return flush_work(&dwork->work);
}

static __passed_over bool cancel_sync(struct work_struct *work, struct timer_list *timer)
{
	int was_pending;
	u32 irqs;

	might_sleep();
	note_lock(work);
	while ((was_pending = grab_work(work, timer, &irqs)) < 0) {
		local_irq_restore(irqs);
		wait_event(cancelers, !(READ_ONCE(work->flags) & WORK_CANCELING));
	}
	/* Pending, so that its function does not queue it again, nor anybody else. */
	WRITE_ONCE(work->flags, WORK_PENDING | WORK_CANCELING);
	machine_wake(&work->flags);
	local_irq_restore(irqs);
	wait_for_work(work);
	/* Idle before the waiters are looked at; pairs with prepare_to_wait(). */
	release_work(work);
	if (waitqueue_active(&cancelers))
		wake_up_all(&cancelers);
	return was_pending;
}

bool cancel_work_sync(struct work_struct *work)
{
	return cancel_sync(work, NULL);
}

bool cancel_delayed_work_sync(struct delayed_work *dwork)
{
	return cancel_sync(&dwork->work, &dwork->timer);
}

u32 work_busy(struct work_struct *work)
{
	u32 last = READ_ONCE(work->pool), busy = work_pending(work) ? WORK_BUSY_PENDING : 0;
	struct worker_pool *pool = &pools[last - 1];
	u32 irqs;

	if (!last)
		return busy;
	irqs = pool_lock(pool);
	if (find_worker_executing_work(pool, work))
		busy |= WORK_BUSY_RUNNING;
	pool_unlock(pool, irqs);
	return busy;
}

/* From now on the other color; how many of the old one there are is known to leave_flight(). */
static void change_colors(struct workqueue_struct *wq)
{
	for (u32 n = 0; n < wq->nr_pwqs; n++) {
		struct pool_workqueue *pwq = &wq->pwq[n];
		u32 irqs = pool_lock(pwq->pool);

		if (pwq->in_flight[pwq->color]) {
			pwq->flushed = 1;
			atomic_inc(&wq->flush_left);
		}
		pwq->color ^= 1;
		pool_unlock(pwq->pool, irqs);
	}
}

static __passed_over void wait_for_old_color(struct workqueue_struct *wq)
{
	struct wait_note before;

	if (atomic_dec_and_test(&wq->flush_left))
		return;
	for (;;) {
		set_current_blocked();
		if (!smp_load_acquire(&wq->flush_left))
			break;
		before = wait_begin(WAIT_FLUSH, wq, 0);
		schedule();
		wait_end(before);
	}
	set_current_running();
}

void flush_workqueue(struct workqueue_struct *wq)
{
	const struct worker *worker = current_worker();

	might_sleep();
	if (unlikely(worker && worker->current_pwq && worker->current_pwq->wq == wq))
		report_own(wq);
	note_lock(wq);
	mutex_lock(&wq->flush_mutex);
	WRITE_ONCE(wq->flusher, current);
	WRITE_ONCE(wq->flush_left, 1);
	change_colors(wq);
	wait_for_old_color(wq);
	mutex_unlock(&wq->flush_mutex);
}

static bool is_empty(struct workqueue_struct *wq)
{
	bool empty = true;

	for (u32 n = 0; n < wq->nr_pwqs; n++) {
		struct pool_workqueue *pwq = &wq->pwq[n];
		u32 irqs = pool_lock(pwq->pool);

		empty &= !pwq->in_flight[0] && !pwq->in_flight[1];
		pool_unlock(pwq->pool, irqs);
	}
	return empty;
}

void drain_workqueue(struct workqueue_struct *wq)
{
	do {
		flush_workqueue(wq);
	} while (!is_empty(wq));
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	drain_workqueue(wq);
	kfree(wq);
}

int schedule_on_each_cpu(work_func_t func)
{
	struct work_struct *works = kzalloc(num_cpus() * sizeof(*works), GFP_KERNEL);
	int cpu;

	if (!works)
		return -ENOMEM;
	for_each_online_cpu(cpu) {
		init_work(&works[cpu], func);
		schedule_work_on(cpu, &works[cpu]);
	}
	for_each_online_cpu(cpu)
		flush_work(&works[cpu]);
	kfree(works);
	return 0;
}
