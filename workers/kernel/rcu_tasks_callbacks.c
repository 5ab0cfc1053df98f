// SPDX-License-Identifier: MIT
/*
 * RCU-tasks, common to its flavours.
 *
 * Those that wait queue on a mutex; one grace period serves all that came before it began: two
 * for any number of waiters. The leader may be preempted; what it holds is the mutex alone.
 *
 * Callbacks go to the first queue, until too many CPUs meet there: then each has its own. When
 * few are left, they go to the first one again. Who has read the old limit may still be about to
 * use it, as a reader of RCU; so the others are looked at for another grace period of RCU.
 *
 * Source: kernel/rcu/tasks.h (v6.12). We differ: who waits drives the grace period itself.
 */
#include <jiffies.h>
#include <kernel/balance.h>
#include <kernel/kthread.h>
#include <kernel/rcu_seq.h>
#include <kernel/rcu_tasks_callbacks.h>

u32 rcu_task_enqueue_lim = 1;
u32 rcu_task_contend_lim = 100;
u32 rcu_task_collapse_lim = 10;

/* Under rtp->mutex. */
static void one_gp(struct rcu_tasks *rtp)
{
	rcu_seq_start(&rtp->seq);
	rtp->wait_gp();
	rcu_seq_end(&rtp->seq);
}

void synchronize_rcu_tasks_generic(struct rcu_tasks *rtp)
{
	u64 began, snap;

	might_sleep();
	smp_mb(); /* The caller's removals before the sequence is read. */
	began = machine_grace_period_begins(rtp->readers);
	snap = rcu_seq_snap(&rtp->seq);
	while (!rcu_seq_done(&rtp->seq, snap)) {
		mutex_lock(&rtp->mutex);
		if (!rcu_seq_done(&rtp->seq, snap))
			one_gp(rtp);
		mutex_unlock(&rtp->mutex);
	}
	smp_mb(); /* The grace period before what the caller does next. */
	machine_grace_period_ends(rtp->readers, began);
}

/* From now on each CPU has a queue; they are looked at before anybody uses them. */
static void use_all_queues(struct rcu_tasks *rtp)
{
	u32 flags = spin_lock_irqsave(&rtp->limits_lock);

	WRITE_ONCE(rtp->dequeue_lim, num_cpus());
	smp_store_release(&rtp->enqueue_lim, num_cpus());
	spin_unlock_irqrestore(&rtp->limits_lock, flags);
}

/* Under queue->lock, which was not free. */
static bool is_contended(struct rcu_tasks_queue *queue)
{
	u64 now = jiffies;

	if (queue->jiffy != now)
		queue->n_lock_retries = 0;
	queue->jiffy = now;
	return ++queue->n_lock_retries > READ_ONCE(rcu_task_contend_lim);
}

/* True if nobody looks for it without being told. */
static bool enqueue(struct rcu_tasks *rtp, struct rcu_head *head)
{
	u32 cpu = smp_processor_id();
	struct rcu_tasks_queue *queue;
	bool contended = false, first;

	/* Until it is in the queue that the limit tells of; pairs with shrink(). */
	rcu_read_lock();
	queue = &rtp->queues[cpu < smp_load_acquire(&rtp->enqueue_lim) ? cpu : 0];
	if (!spin_trylock(&queue->lock)) {
		spin_lock(&queue->lock);
		contended = is_contended(queue);
	}
	first = !rcu_segcblist_n_cbs(&queue->cblist);
	rcu_segcblist_enqueue(&queue->cblist, head);
	spin_unlock(&queue->lock);
	if (unlikely(contended) && READ_ONCE(rtp->enqueue_lim) == 1)
		use_all_queues(rtp);
	rcu_read_unlock();
	return first;
}

void rcu_tasks_wake_thread(struct irq_work *work)
{
	struct rcu_tasks *rtp = container_of(work, struct rcu_tasks, waking);
	struct task_struct *thread = READ_ONCE(rtp->thread);

	if (thread)
		wake_up_process(thread);
}

void call_rcu_tasks_generic(struct rcu_head *head, rcu_callback_t func, struct rcu_tasks *rtp)
{
	u32 flags = local_irq_save();

	head->func = func;
	machine_callback_queued(rtp->readers, head);
	/* The caller may hold the lock of a run queue. */
	if (enqueue(rtp, head))
		irq_work_queue(&rtp->waking);
	local_irq_restore(flags);
}

static void run_callbacks(struct rcu_tasks *rtp, struct rcu_tasks_queue *queue)
{
	u32 flags = spin_lock_irqsave(&queue->lock);
	struct rcu_head *head = rcu_segcblist_extract_done_cbs(&queue->cblist), *next;
	s64 count = 0;

	spin_unlock_irqrestore(&queue->lock, flags);
	for (; head; head = next, count++) {
		rcu_callback_t func = head->func;

		next = head->next;
		machine_callback_runs(rtp->readers, head);
		func(head);
		check_balance(func, TASK_BALANCE);
		cond_resched();
	}
	flags = spin_lock_irqsave(&queue->lock);
	rcu_segcblist_add_len(&queue->cblist, -count);
	spin_unlock_irqrestore(&queue->lock, flags);
}

/* What is there to do for the callbacks of @queue? */
static enum { NOTHING, WAIT_FOR_GP, RUN_CALLBACKS } look_at(struct rcu_tasks *rtp,
							    struct rcu_tasks_queue *queue)
{
	u32 flags = spin_lock_irqsave(&queue->lock), todo = NOTHING;
	u64 snap;

	if (rcu_segcblist_n_cbs(&queue->cblist)) {
		/* In this order: a grace period that ends in between makes room for the last. */
		snap = rcu_seq_snap(&rtp->seq);
		rcu_segcblist_advance(&queue->cblist, smp_load_acquire(&rtp->seq));
		rcu_segcblist_accelerate(&queue->cblist, snap);
		if (rcu_segcblist_ready_cbs(&queue->cblist))
			todo = RUN_CALLBACKS;
		else if (rcu_segcblist_pend_cbs(&queue->cblist))
			todo = WAIT_FOR_GP;
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	return todo;
}

/* Callbacks in the first @queues queues, from the queue @first on. */
static u64 count_callbacks(struct rcu_tasks *rtp, u32 first, u32 queues)
{
	u64 count = 0;

	for (u32 n = first; n < queues; n++)
		count += rcu_segcblist_n_cbs(&rtp->queues[n].cblist);
	return count;
}

/* In the thread: back to one queue, if so many are not needed any more. */
static void shrink(struct rcu_tasks *rtp)
{
	u32 queues = READ_ONCE(rtp->dequeue_lim), flags;

	if (likely(queues == 1) || count_callbacks(rtp, 0, queues) > rcu_task_collapse_lim)
		return;
	flags = spin_lock_irqsave(&rtp->limits_lock);
	WRITE_ONCE(rtp->enqueue_lim, 1);
	spin_unlock_irqrestore(&rtp->limits_lock, flags);
	synchronize_rcu(); /* Who has read the limit before has queued; pairs with enqueue(). */
	if (count_callbacks(rtp, 1, queues))
		return;
	flags = spin_lock_irqsave(&rtp->limits_lock);
	if (rtp->enqueue_lim == 1)
		WRITE_ONCE(rtp->dequeue_lim, 1);
	spin_unlock_irqrestore(&rtp->limits_lock, flags);
}

static s64 tasks_thread(void *argument)
{
	struct rcu_tasks *rtp = argument;

	while (!kthread_should_stop()) {
		struct wait_note before;
		bool wait = false, run = false;

		set_current_blocked();
		for (u32 n = 0; n < smp_load_acquire(&rtp->dequeue_lim); n++) {
			u32 todo = look_at(rtp, &rtp->queues[n]);

			wait |= todo == WAIT_FOR_GP;
			run |= todo == RUN_CALLBACKS;
		}
		if (!wait && !run) {
			before = wait_begin(WAIT_WORK, rtp, 0);
			schedule();
			wait_end(before);
			continue;
		}
		set_current_running();
		for (u32 n = 0; run && n < smp_load_acquire(&rtp->dequeue_lim); n++)
			run_callbacks(rtp, &rtp->queues[n]);
		if (run) {
			shrink(rtp);
			continue;
		}
		mutex_lock(&rtp->mutex);
		one_gp(rtp);
		mutex_unlock(&rtp->mutex);
	}
	return 0;
}

void rcu_spawn_tasks_kthread_generic(struct rcu_tasks *rtp)
{
	if (READ_ONCE(rtp->thread))
		return;
	mutex_lock(&rtp->thread_mutex);
	if (!rtp->thread) {
		if (rcu_task_enqueue_lim > 1)
			use_all_queues(rtp);
		WRITE_ONCE(rtp->thread, kthread_run(0, tasks_thread, rtp, rtp->name));
		/* It may have looked before anybody knew whom to wake. */
		if (rtp->thread)
			wake_up_process(rtp->thread);
	}
	mutex_unlock(&rtp->thread_mutex);
}

static void put_barrier(struct rcu_tasks *rtp)
{
	if (atomic_dec_and_test(&rtp->barrier_left))
		complete(&rtp->barrier_done);
}

static void barrier_callback(struct rcu_head *head)
{
	put_barrier(container_of(head, struct rcu_tasks_queue, barrier_head)->rtp);
}

static void entrain_barrier(struct rcu_tasks *rtp, struct rcu_tasks_queue *queue)
{
	u32 flags = spin_lock_irqsave(&queue->lock);

	queue->rtp = rtp;
	queue->barrier_head.func = barrier_callback;
	atomic_inc(&rtp->barrier_left);
	if (!rcu_segcblist_entrain(&queue->cblist, &queue->barrier_head))
		atomic_dec(&rtp->barrier_left);
	spin_unlock_irqrestore(&queue->lock, flags);
}

void rcu_barrier_tasks_generic(struct rcu_tasks *rtp)
{
	u64 snap = rcu_seq_snap(&rtp->barrier_seq);

	might_sleep();
	rcu_spawn_tasks_kthread_generic(rtp);
	mutex_lock(&rtp->barrier_mutex);
	/* Somebody else's began after this one, and has ended. */
	if (rcu_seq_done(&rtp->barrier_seq, snap)) {
		mutex_unlock(&rtp->barrier_mutex);
		return;
	}
	rcu_seq_start(&rtp->barrier_seq);
	init_completion(&rtp->barrier_done);
	WRITE_ONCE(rtp->barrier_left, 1);
	for (u32 n = 0; n < smp_load_acquire(&rtp->dequeue_lim); n++)
		entrain_barrier(rtp, &rtp->queues[n]);
	put_barrier(rtp);
	wait_for_completion(&rtp->barrier_done);
	rcu_seq_end(&rtp->barrier_seq);
	mutex_unlock(&rtp->barrier_mutex);
}
