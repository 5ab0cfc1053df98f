// SPDX-License-Identifier: MIT
/*
 * Who runs works: the workers of a CPU, and those of all unbound queues.
 *
 * Of a CPU's workers one is to run, as long as there is work and it does not sleep: the scheduler
 * says when it does (wq_worker_sleeping()), and then an idle one is woken. Before a worker
 * begins it sees to it that there is another idle one. Unbound ones are woken for each item.
 *
 * Source: Linux kernel/workqueue.c (v6.12), worker_thread(), process_one_work(),
 * wq_worker_sleeping(). Flushers stand on a list here, not behind the work as works of their own.
 */
#include <error.h>
#include <kernel/balance.h>
#include <kernel/kthread.h>
#include <kernel/spinlock.h>
#include <kernel/workqueue_internal.h>

#define CLOSE_PATIENCE 2000   /* ticks until works of a CPU that goes down have ended */
#define FIRST_WORKERS 2       /* of each pool: one that runs something, one for when it sleeps */

struct worker_pool pools[POOLS];

u32 pool_lock(struct worker_pool *pool)
{
	u32 irqs = local_irq_save();

	raw_spin_lock(&pool->lock);
	return irqs;
}

void pool_unlock(struct worker_pool *pool, u32 irqs)
{
	raw_spin_unlock(&pool->lock);
	local_irq_restore(irqs);
}

struct worker *current_worker(void)
{
	return (struct worker *)current->worker;
}

/* Another item may lie where one was that was freed: its function is looked at as well. */
struct worker *find_worker_executing_work(struct worker_pool *pool, struct work_struct *work)
{
	for (u32 n = 0; n < pool->nr_workers; n++) {
		struct worker *worker = &pool->worker[n];

		if (worker->current_work == work && worker->current_func == work->func)
			return worker;
	}
	return NULL;
}

/*
 * When it goes to another pool that is written before its flags, and these say so only as long
 * as the lock is held of where it is: so flags are read before the pool.
 */
bool work_is_on_list(struct work_struct *work, const struct worker_pool *pool)
{
	return smp_load_acquire(&work->flags) & WORK_QUEUED &&
	       READ_ONCE(work->pool) == pool->id + 1;
}

static bool needs_worker(const struct worker_pool *pool)
{
	return !list_empty(&pool->works) && !pool->nr_running;
}

/* Of an unbound pool one that can run: those whose CPU is down are heard when it is up. */
static void wake_idle_worker(struct worker_pool *pool)
{
	struct worker *worker;

	list_for_each_entry(worker, &pool->idle, idle) {
		wake_up_process(worker->task);
		if (likely(READ_ONCE(cpu_at(worker->task->cpu)->leaving) < CPU_CLOSED))
			break;
	}
}

static void activate(struct pool_workqueue *pwq, struct work_struct *work)
{
	pwq->nr_active++;
	list_add_tail(&work->entry, &pwq->pool->works);
	if (needs_worker(pwq->pool))
		wake_idle_worker(pwq->pool);
}

void insert_work(struct pool_workqueue *pwq, struct work_struct *work)
{
	u32 flags = WORK_PENDING | WORK_QUEUED;

	work->pwq = pwq;
	work->color = pwq->color;
	pwq->in_flight[work->color]++;
	WRITE_ONCE(work->pool, pwq->pool->id + 1);
	if (pwq->nr_active < pwq->wq->max_active) {
		activate(pwq, work);
	} else {
		flags |= WORK_INACTIVE;
		list_add_tail(&work->entry, &pwq->inactive);
	}
	WRITE_ONCE(work->flags, flags);
	machine_wake(&work->flags);
}

static void activate_next(struct pool_workqueue *pwq)
{
	struct work_struct *work;

	if (list_empty(&pwq->inactive) || pwq->nr_active >= pwq->wq->max_active)
		return;
	work = list_first_entry(&pwq->inactive, struct work_struct, entry);
	list_del(&work->entry);
	WRITE_ONCE(work->flags, work->flags & ~WORK_INACTIVE);
	activate(pwq, work);
}

/* An item is done with, or was taken back. The queue may be gone when this returns. */
static void leave_flight(struct pool_workqueue *pwq, u32 color, bool was_active)
{
	struct workqueue_struct *wq = pwq->wq;
	struct task_struct *flusher;

	if (was_active) {
		pwq->nr_active--;
		activate_next(pwq);
	}
	if (--pwq->in_flight[color] || !pwq->flushed || color == pwq->color)
		return;
	pwq->flushed = 0;
	/* Who flushes may destroy the queue as soon as nothing is left. */
	flusher = READ_ONCE(wq->flusher);
	if (atomic_dec_and_test(&wq->flush_left))
		wake_up_process(flusher);
}

/* Those who wait for @work while it @runs have waited long enough. */
static void complete_flushers(struct worker_pool *pool, struct work_struct *work, bool runs)
{
	struct flusher *flusher, *next;

	list_for_each_entry_safe(flusher, next, &pool->flushers, list) {
		struct task_struct *task = flusher->task;

		if (flusher->work != work || flusher->runs != runs)
			continue;
		list_del(&flusher->list);
		/* Its stack frame may be gone after this. */
		smp_store_release(&flusher->done, 1);
		wake_up_process(task);
	}
}

void remove_work(struct work_struct *work)
{
	struct pool_workqueue *pwq = work->pwq;

	list_del(&work->entry);
	complete_flushers(pwq->pool, work, false);
	leave_flight(pwq, work->color, !(work->flags & WORK_INACTIVE));
}

static void flushers_wait_for_run(struct worker_pool *pool, const struct work_struct *work)
{
	struct flusher *flusher;

	list_for_each_entry(flusher, &pool->flushers, list) {
		if (flusher->work == work)
			flusher->runs = 1;
	}
}

static void call_work(struct workqueue_struct *wq, struct work_struct *work, work_func_t func)
{
	/* The item may be gone when it returns, and only its address is used. See flush_work(). */
	machine_lock_acquired(wq, LOCK_SHARED | LOCK_RECURSIVE);
	machine_lock_acquired(work, 0);
	func(work);
	machine_lock_released(work);
	machine_lock_released(wq);
	check_balance(func, TASK_BALANCE);
}

/* The pool is locked and interrupts are off, and again when it returns. */
static void run_work(struct worker *worker, struct work_struct *work)
{
	struct worker_pool *pool = worker->pool;
	struct pool_workqueue *pwq = work->pwq;

	worker->current_work = work;
	worker->current_func = work->func;
	worker->current_pwq = pwq;
	worker->current_color = work->color;
	list_del(&work->entry);
	flushers_wait_for_run(pool, work);
	if (needs_worker(pool))
		wake_idle_worker(pool);
	/*
	 * Who finds it pending is seen by the function: not pending before it begins, in one
	 * full barrier. From here on anybody may queue it, and it may be freed by its function.
	 */
	(void)xchg(&work->flags, 0);
	machine_wake(&work->flags);
	pool_unlock(pool, 0);
	/* Its CPU goes down when it is done: nobody else would go on with it. */
	task_keeps_cpu();
	call_work(pwq->wq, work, worker->current_func);
	task_lets_cpu_go();
	pool_lock(pool);
	worker->current_work = NULL;
	worker->current_func = NULL;
	worker->current_pwq = NULL;
	complete_flushers(pool, work, true);
	leave_flight(pwq, worker->current_color, true);
}

/* Whoever runs an item runs it again, if it was queued meanwhile: it never runs twice at once. */
static void take_work(struct worker *worker)
{
	struct worker_pool *pool = worker->pool;
	struct work_struct *work = list_first_entry(&pool->works, struct work_struct, entry);
	struct worker *other = find_worker_executing_work(pool, work);

	if (other) {
		list_del(&work->entry);
		list_add_tail(&work->entry, &other->scheduled);
		return;
	}
	run_work(worker, work);
	while (!list_empty(&worker->scheduled)) {
		work = list_first_entry(&worker->scheduled, struct work_struct, entry);
		run_work(worker, work);
	}
}

static void make_worker(struct worker_pool *pool);

/* Somebody has to be there when this one sleeps. */
static void keep_one_idle(struct worker_pool *pool)
{
	if (!list_empty(&pool->idle) || pool->nr_workers == POOL_WORKERS)
		return;
	pool_unlock(pool, 0);
	make_worker(pool);
	pool_lock(pool);
}

static void count(struct worker *worker, bool counts)
{
	if (worker->pool->id == UNBOUND_POOL || worker->counts == counts)
		return;
	worker->counts = counts;
	worker->pool->nr_running += counts ? 1 : -1;
}

/* As long as there is work, and nobody else runs who would do it. */
static void work_off(struct worker *worker)
{
	struct worker_pool *pool = worker->pool;

	keep_one_idle(pool);
	if (!needs_worker(pool))
		return;
	count(worker, true);
	while (!list_empty(&pool->works) && pool->nr_running <= 1)
		take_work(worker);
	count(worker, false);
}

static void rest(struct worker *worker)
{
	struct worker_pool *pool = worker->pool;
	struct wait_note before;

	list_add(&worker->idle, &pool->idle);
	while (!needs_worker(pool)) {
		/* Blocked before the lock is given back: who queues finds it, and wakes it. */
		set_current_blocked();
		pool_unlock(pool, 0);
		before = wait_begin(WAIT_WORK, pool, 0);
		schedule();
		wait_end(before);
		pool_lock(pool);
	}
	list_del_init(&worker->idle);
}

static s64 worker_thread(void *argument)
{
	struct worker *worker = argument;

	current->worker = (u64)worker;
	pool_lock(worker->pool);
	for (;;) {
		rest(worker);
		work_off(worker);
	}
	return 0;
}

static void make_worker(struct worker_pool *pool)
{
	bool unbound = pool->id == UNBOUND_POOL;
	u32 irqs = pool_lock(pool), place = pool->nr_workers;
	struct worker *worker = &pool->worker[place];
	struct task_struct *task;

	if (place == POOL_WORKERS) {
		pool_unlock(pool, irqs);
		return;
	}
	pool->nr_workers++;
	worker->pool = pool;
	INIT_LIST_HEAD(&worker->scheduled);
	INIT_LIST_HEAD(&worker->idle);
	pool_unlock(pool, irqs);
	task = task_create(unbound ? place % num_cpus() : pool->id, TASK_NORMAL, worker_thread,
			   worker, unbound ? "worker/unbound" : "worker");
	/* Without a task it is a place that is never used: there are as many as there can be. */
	if (!task)
		return;
	worker->task = task;
	/* Works of a CPU that goes down run until the last one has ended. */
	if (!unbound)
		kthread_set_per_cpu(task);
	wake_up_process(task);
}

void pool_start(struct worker_pool *pool)
{
	if (pool->ready)
		return;
	pool->ready = 1;
	pool->id = pool - pools;
	pool->closed = pool->id != UNBOUND_POOL && !cpu_online(pool->id);
	INIT_LIST_HEAD(&pool->works);
	INIT_LIST_HEAD(&pool->idle);
	INIT_LIST_HEAD(&pool->flushers);
	for (u32 n = 0; n < FIRST_WORKERS; n++)
		make_worker(pool);
}

static bool is_idle(struct worker_pool *pool)
{
	u32 irqs = pool_lock(pool);
	bool idle = list_empty(&pool->works);

	for (u32 n = 0; n < pool->nr_workers; n++)
		idle &= !pool->worker[n].current_work;
	pool_unlock(pool, irqs);
	return idle;
}

static void set_closed(struct worker_pool *pool, u32 closed)
{
	u32 irqs = pool_lock(pool);

	pool->closed = closed;
	pool_unlock(pool, irqs);
}

int pool_close(unsigned int cpu)
{
	struct worker_pool *pool = &pools[cpu];

	if (!pool->ready)
		return 0;
	set_closed(pool, 1);
	for (u32 ticks = 0; ticks < CLOSE_PATIENCE; ticks++) {
		if (is_idle(pool))
			return 0;
		schedule_timeout_uninterruptible(1);
	}
	set_closed(pool, 0);
	return -EBUSY;
}

int pool_open(unsigned int cpu)
{
	if (pools[cpu].ready)
		set_closed(&pools[cpu], 0);
	return 0;
}

/* Interrupts are off. The task is marked as blocked, and may have been woken since. */
void wq_worker_sleeping(struct task_struct *task)
{
	struct worker *worker = (struct worker *)task->worker;
	struct worker_pool *pool = worker->pool;

	if (!worker->counts || READ_ONCE(task->state) == TASK_RUNNING)
		return;
	raw_spin_lock(&pool->lock);
	worker->sleeps = 1;
	pool->nr_running--;
	if (needs_worker(pool))
		wake_idle_worker(pool);
	raw_spin_unlock(&pool->lock);
}

void wq_worker_running(struct task_struct *task)
{
	struct worker *worker = (struct worker *)task->worker;
	struct worker_pool *pool = worker->pool;

	if (!worker->sleeps)
		return;
	raw_spin_lock(&pool->lock);
	worker->sleeps = 0;
	pool->nr_running++;
	raw_spin_unlock(&pool->lock);
}
