// SPDX-License-Identifier: MIT
/*
 * Items and their queues. Who sets WORK_PENDING of an item has it, and is the only one to write
 * its flags until it stands on a list of a pool, whose lock is then needed, or until its timer is
 * armed: then who deletes the timer has it. WORK_TRANSIT is set while it is neither, with
 * interrupts off, so that who wants it for himself knows that it cannot last.
 *
 * Source: Linux kernel/workqueue.c (v6.12), __queue_work(), try_to_grab_pending().
 */
#include <error.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/slab.h>
#include <kernel/workqueue_internal.h>

static struct pool_workqueue system_shares[MAX_CPUS], unbound_share;
static struct workqueue_struct system_queue = { .name = "events", .pwq = system_shares };
static struct workqueue_struct unbound_queue = {
	.name = "events_unbound", .flags = WQ_UNBOUND, .pwq = &unbound_share,
};
struct workqueue_struct *system_wq = &system_queue, *system_unbound_wq = &unbound_queue;

static DEFINE_MUTEX(start_mutex); /* of pool->ready, and of the system's queues at the start */

void init_work(struct work_struct *work, work_func_t func)
{
	*work = (struct work_struct)__WORK_INITIALIZER(func);
	machine_lock_made(work);
}

void init_delayed_work(struct delayed_work *dwork, work_func_t func)
{
	init_work(&dwork->work, func);
	timer_setup(&dwork->timer, delayed_work_timer_fn, TIMER_IRQSAFE);
}

static void init_queue(struct workqueue_struct *wq, u32 max_active)
{
	bool unbound = wq->flags & WQ_UNBOUND;

	wq->max_active = max_active ?: ~0U;
	wq->nr_pwqs = unbound ? 1 : num_cpus();
	mutex_init(&wq->flush_mutex);
	for (u32 n = 0; n < wq->nr_pwqs; n++) {
		struct pool_workqueue *pwq = &wq->pwq[n];

		pwq->wq = wq;
		pwq->pool = &pools[unbound ? UNBOUND_POOL : n];
		INIT_LIST_HEAD(&pwq->inactive);
	}
}

void workqueue_start(void)
{
	mutex_lock(&start_mutex);
	if (!system_queue.nr_pwqs) {
		init_queue(&system_queue, 0);
		init_queue(&unbound_queue, 0);
		cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "workqueue", pool_open, pool_close);
		cpus_read_lock();
		for (u32 cpu = 0; cpu < num_cpus(); cpu++)
			pool_start(&pools[cpu]);
		pool_start(&pools[UNBOUND_POOL]);
		cpus_read_unlock();
	}
	mutex_unlock(&start_mutex);
}

struct workqueue_struct *alloc_workqueue(const char *name, u32 flags, u32 max_active)
{
	u32 shares = flags & WQ_UNBOUND ? 1 : num_cpus();
	struct workqueue_struct *wq;

	workqueue_start();
	wq = kzalloc(sizeof(*wq) + shares * sizeof(*wq->pwq), GFP_KERNEL);
	if (!wq)
		return NULL;
	wq->name = name;
	wq->flags = flags;
	wq->pwq = (struct pool_workqueue *)(wq + 1);
	init_queue(wq, max_active);
	return wq;
}

struct workqueue_struct *alloc_ordered_workqueue(const char *name, u32 flags)
{
	return alloc_workqueue(name, flags | WQ_UNBOUND, 1);
}

/* Who gets true has the item, in transit; interrupts are off. */
static bool claim_idle(struct work_struct *work)
{
	return cmpxchg(&work->flags, 0, WORK_PENDING | WORK_TRANSIT) == 0;
}

/* The lock of the pool that it is to be queued at: where it runs now, if it does, for @wq. */
static struct pool_workqueue *lock_share(int cpu, struct workqueue_struct *wq,
					 struct work_struct *work)
{
	u32 last = READ_ONCE(work->pool);
	struct pool_workqueue *pwq;

	if (cpu == WORK_CPU_UNBOUND)
		cpu = smp_processor_id();
	pwq = &wq->pwq[wq->flags & WQ_UNBOUND ? 0 : cpu];
	if (last && &pools[last - 1] != pwq->pool) {
		struct worker_pool *pool = &pools[last - 1];
		struct worker *worker;

		raw_spin_lock(&pool->lock);
		worker = find_worker_executing_work(pool, work);
		if (worker && worker->current_pwq->wq == wq)
			return worker->current_pwq;
		raw_spin_unlock(&pool->lock);
	}
	raw_spin_lock(&pwq->pool->lock);
	if (unlikely(pwq->pool->closed)) {
		raw_spin_unlock(&pwq->pool->lock);
		/* The first CPU never goes down. */
		pwq = &wq->pwq[0];
		raw_spin_lock(&pwq->pool->lock);
	}
	return pwq;
}

void __queue_work(int cpu, struct workqueue_struct *wq, struct work_struct *work)
{
	struct pool_workqueue *pwq = lock_share(cpu, wq, work);

	insert_work(pwq, work);
	raw_spin_unlock(&pwq->pool->lock);
}

bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *work)
{
	bool queued;
	u32 irqs;

	/* A worker that is woken here preempts the caller at the end. */
	preempt_disable();
	irqs = local_irq_save();
	queued = claim_idle(work);
	if (queued)
		__queue_work(cpu, wq, work);
	local_irq_restore(irqs);
	preempt_enable();
	return queued;
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue_work_on(WORK_CPU_UNBOUND, wq, work);
}

bool schedule_work(struct work_struct *work)
{
	return queue_work(system_wq, work);
}

bool schedule_work_on(int cpu, struct work_struct *work)
{
	return queue_work_on(cpu, system_wq, work);
}

void delayed_work_timer_fn(struct timer_list *timer)
{
	struct delayed_work *dwork = container_of(timer, struct delayed_work, timer);

	/* Interrupts are off (TIMER_IRQSAFE): nobody on this CPU finds it in transit. */
	__queue_work(dwork->cpu, dwork->wq, &dwork->work);
}

/* The caller has it, in transit; interrupts are off. */
static void __queue_delayed_work(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,
				 u64 delay)
{
	if (!delay) {
		__queue_work(cpu, wq, &dwork->work);
		return;
	}
	dwork->wq = wq;
	dwork->cpu = cpu;
	dwork->timer.expires = jiffies + delay;
	if (cpu == WORK_CPU_UNBOUND)
		add_timer(&dwork->timer);
	else
		add_timer_on(&dwork->timer, cpu);
	/* From here on it is whose who deletes the timer, unless another CPU's has come already. */
	cmpxchg(&dwork->work.flags, WORK_PENDING | WORK_TRANSIT, WORK_PENDING);
	machine_wake(&dwork->work.flags);
}

bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,
			   u64 delay)
{
	bool queued;
	u32 irqs;

	preempt_disable();
	irqs = local_irq_save();
	queued = claim_idle(&dwork->work);
	if (queued)
		__queue_delayed_work(cpu, wq, dwork, delay);
	local_irq_restore(irqs);
	preempt_enable();
	return queued;
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork, u64 delay)
{
	return queue_delayed_work_on(WORK_CPU_UNBOUND, wq, dwork, delay);
}

bool schedule_delayed_work(struct delayed_work *dwork, u64 delay)
{
	return queue_delayed_work(system_wq, dwork, delay);
}

/* From a list: true = the caller has it, in transit. Interrupts are off. */
static bool steal(struct work_struct *work)
{
	u32 last = READ_ONCE(work->pool);
	struct worker_pool *pool = &pools[last - 1];
	bool queued;

	if (!last)
		return false;
	raw_spin_lock(&pool->lock);
	queued = work_is_on_list(work, pool);
	if (queued) {
		remove_work(work);
		WRITE_ONCE(work->flags, WORK_PENDING | WORK_TRANSIT);
	}
	raw_spin_unlock(&pool->lock);
	return queued;
}

/*
 * Have it, in transit; interrupts are off. 1 = it was pending, 0 = it was idle; -EBUSY = it is
 * being cancelled; -EAGAIN = not as it is with *@flags.
 */
static int try_grab(struct work_struct *work, struct timer_list *timer, u32 *flags)
{
	*flags = READ_ONCE(work->flags);
	if (!*flags)
		return claim_idle(work) ? 0 : -EAGAIN;
	if (*flags & WORK_CANCELING)
		return -EBUSY;
	if (*flags & WORK_TRANSIT)
		return -EAGAIN;
	if (*flags & WORK_QUEUED)
		return steal(work) ? 1 : -EAGAIN;
	/* Its function (TIMER_IRQSAFE) waits for nobody, and when it has returned it is queued. */
	if (!timer || !timer_delete_sync(timer))
		return -EAGAIN;
	atomic_fetch_or(WORK_TRANSIT, &work->flags);
	return 1;
}

int grab_work(struct work_struct *work, struct timer_list *timer, u32 *irqs)
{
	int was_pending;
	u32 flags;

	for (;;) {
		*irqs = local_irq_save();
		was_pending = try_grab(work, timer, &flags);
		if (was_pending != -EAGAIN)
			return was_pending;
		local_irq_restore(*irqs);
		/* Otherwise it has changed, and maybe back: to wait for that might be for ever. */
		if (flags & WORK_TRANSIT)
			machine_relax_while(&work->flags, flags);
	}
}

bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *dwork,
			 u64 delay)
{
	int was_pending;
	u32 irqs;

	preempt_disable();
	was_pending = grab_work(&dwork->work, &dwork->timer, &irqs);
	if (was_pending >= 0)
		__queue_delayed_work(cpu, wq, dwork, delay);
	local_irq_restore(irqs);
	preempt_enable();
	return was_pending;
}

bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork, u64 delay)
{
	return mod_delayed_work_on(WORK_CPU_UNBOUND, wq, dwork, delay);
}

void release_work(struct work_struct *work)
{
	(void)xchg(&work->flags, 0);
	machine_wake(&work->flags);
}

static bool cancel(struct work_struct *work, struct timer_list *timer)
{
	int was_pending;
	u32 irqs;

	was_pending = grab_work(work, timer, &irqs);
	if (was_pending >= 0)
		release_work(work);
	local_irq_restore(irqs);
	return was_pending > 0;
}

bool cancel_work(struct work_struct *work)
{
	return cancel(work, NULL);
}

bool cancel_delayed_work(struct delayed_work *dwork)
{
	return cancel(&dwork->work, &dwork->timer);
}
