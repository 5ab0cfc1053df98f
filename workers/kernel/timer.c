// SPDX-License-Identifier: MIT
/*
 * A base of each CPU: its timers in the order in which they expire, under a lock that is taken
 * with interrupts off. The machine is told of the first one.
 *
 * A timer belongs to the base that its flags name. mod_timer() brings it to the caller's CPU,
 * unless its function runs on the other one: then it stays, so that it is never in two places,
 * and that CPU looks again when the function has returned. base->running is what those look at
 * who wait for a function to end.
 *
 * There is no wheel: arming takes a step for each timer that expires later. What lockdep does
 * for timers is done here, too: the function runs, and timer_delete_sync() is called, under a
 * lock that exists only in the record of locks.
 *
 * Source: Linux kernel/time/timer.c (v6.12), __mod_timer(), expire_timers(),
 * __try_to_del_timer_sync().
 */
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/softirq.h>
#include <kernel/spinlock.h>
#include <kernel/timer.h>
#include <percpu.h>

struct timer_base {
	u32 lock;             /* of all below, and of the timers in it; interrupts off */
	u32 returns;          /* functions that have returned; who waits for one relaxes on it */
	u32 cpu;              /* that it belongs to; never changes */
	struct timer_list *running; /* whose function runs; NULL = none */
	struct list_head timers;  /* the first one expires first */
	struct list_head expired; /* whose functions run now, one after the other */
	u64 programmed;       /* what the machine was told; 0 = nothing */
};

static DEFINE_PER_CPU(struct timer_base, bases);

/* Of mod_timer_pending(), timer_reduce(). */
#define ONLY_PENDING 0x1
#define ONLY_EARLIER 0x2

static void setup(struct timer_list *timer, void (*function)(struct timer_list *timer), u32 flags)
{
	timer->entry.next = NULL;
	timer->function = function;
	timer->flags = flags | smp_processor_id();
}

void timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), u32 flags)
{
	setup(timer, function, flags);
	machine_lock_made(timer);
}

void timer_setup_on_stack(struct timer_list *timer, void (*function)(struct timer_list *timer),
			  u32 flags)
{
	setup(timer, function, flags);
}

/*
 * The base that @timer belongs to, locked; *@irqs is what interrupts were. While the lock is
 * held it stays there: who moves it holds the lock of its old base, and then marks it.
 */
static struct timer_base *lock_base(struct timer_list *timer, u32 *irqs)
{
	for (;;) {
		u32 flags = READ_ONCE(timer->flags);
		struct timer_base *base = per_cpu_ptr(bases, flags & TIMER_CPUMASK);

		if (flags & TIMER_MIGRATING) {
			machine_relax_while(&timer->flags, flags);
			continue;
		}
		*irqs = local_irq_save();
		raw_spin_lock(&base->lock);
		if (READ_ONCE(timer->flags) == flags)
			return base;
		raw_spin_unlock(&base->lock);
		local_irq_restore(*irqs);
	}
}

static void unlock_base(struct timer_base *base, u32 irqs)
{
	raw_spin_unlock(&base->lock);
	local_irq_restore(irqs);
}

/* Of this CPU, locked. */
static void program(struct timer_base *base)
{
	u64 when = 0;

	if (!list_empty(&base->timers))
		when = list_first_entry(&base->timers, struct timer_list, entry)->expires ?: 1;
	if (when == base->programmed)
		return;
	base->programmed = when;
	machine_timer_program(when);
}

/* Behind @before. Who asks whether it is pending, without the lock, sees it so from here on. */
static void insert_timer(struct timer_list *timer, struct list_head *before)
{
	struct list_head *next = before->next;

	timer->entry.prev = before;
	WRITE_ONCE(timer->entry.next, next);
	next->prev = &timer->entry;
	WRITE_ONCE(before->next, &timer->entry);
}

static void enqueue_timer(struct timer_base *base, struct timer_list *timer)
{
	struct list_head *before = base->timers.prev;

	while (before != &base->timers &&
	       time_after(list_entry(before, struct timer_list, entry)->expires, timer->expires))
		before = before->prev;
	insert_timer(timer, before);
}

/* From the base's list; nobody finds it pending any more. */
static void detach_timer(struct timer_list *timer)
{
	__list_del(timer->entry.prev, timer->entry.next);
	timer->entry.prev = LIST_POISON2;
	WRITE_ONCE(timer->entry.next, NULL);
}

static bool detach_if_pending(struct timer_list *timer, struct timer_base *base)
{
	if (!timer_pending(timer))
		return false;
	detach_timer(timer);
	if (base == this_cpu_ptr(bases))
		program(base);
	return true;
}

/* Moves @timer from @base, which is locked, to @to, which is then; while interrupts are off. */
static struct timer_base *migrate(struct timer_list *timer, struct timer_base *base, u32 cpu)
{
	u32 flags = timer->flags & ~TIMER_CPUMASK;
	struct timer_base *to = per_cpu_ptr(bases, cpu);

	/* From here on it is of no base: whoever wants its lock waits until it is again. */
	WRITE_ONCE(timer->flags, timer->flags | TIMER_MIGRATING);
	raw_spin_unlock(&base->lock);
	raw_spin_lock(&to->lock);
	WRITE_ONCE(timer->flags, flags | cpu);
	machine_wake(&timer->flags);
	return to;
}

static bool is_left_alone(const struct timer_list *timer, u64 expires, u32 options)
{
	if (!timer->function)
		return true;
	if (!timer_pending(timer))
		return options & ONLY_PENDING;
	return timer->expires == expires ||
	       (options & ONLY_EARLIER && time_before_eq(timer->expires, expires));
}

/* On @cpu, unless its function runs elsewhere. */
static bool arm(struct timer_list *timer, u64 expires, u32 cpu, u32 options)
{
	struct timer_base *base;
	bool pending;
	u32 irqs;

	base = lock_base(timer, &irqs);
	if (is_left_alone(timer, expires, options)) {
		pending = timer_pending(timer);
		unlock_base(base, irqs);
		return pending;
	}
	pending = timer_pending(timer);
	if (pending)
		detach_timer(timer);
	if (base != per_cpu_ptr(bases, cpu) && likely(base->running != timer))
		base = migrate(timer, base, cpu);
	timer->expires = expires;
	enqueue_timer(base, timer);
	if (base == this_cpu_ptr(bases))
		program(base);
	else if (base->running != timer)
		machine_raise_irq(timer->flags & TIMER_CPUMASK, IRQ_REARM);
	unlock_base(base, irqs);
	return pending;
}

/* Where mod_timer() arms it: the caller stays on its CPU. */
static bool arm_here(struct timer_list *timer, u64 expires, u32 options)
{
	u32 flags = READ_ONCE(timer->flags), cpu;
	bool pending;

	preempt_disable();
	cpu = flags & TIMER_PINNED ? flags & TIMER_CPUMASK : smp_processor_id();
	pending = arm(timer, expires, cpu, options);
	preempt_enable();
	return pending;
}

bool mod_timer(struct timer_list *timer, u64 expires)
{
	return arm_here(timer, expires, 0);
}

bool mod_timer_pending(struct timer_list *timer, u64 expires)
{
	return arm_here(timer, expires, ONLY_PENDING);
}

bool timer_reduce(struct timer_list *timer, u64 expires)
{
	return arm_here(timer, expires, ONLY_EARLIER);
}

static void check_not_pending(const struct timer_list *timer)
{
	if (unlikely(timer_pending(timer)))
		report_finding(FINDING_BAD_STATE, NULL, (u64)timer, (u64)timer->entry.next, 0);
}

void add_timer(struct timer_list *timer)
{
	check_not_pending(timer);
	mod_timer(timer, timer->expires);
}

void add_timer_on(struct timer_list *timer, int cpu)
{
	check_not_pending(timer);
	preempt_disable();
	arm(timer, timer->expires, cpu, 0);
	preempt_enable();
}

static bool delete(struct timer_list *timer, bool for_good)
{
	struct timer_base *base;
	bool pending;
	u32 irqs;

	if (!for_good && !timer_pending(timer))
		return false;
	base = lock_base(timer, &irqs);
	pending = detach_if_pending(timer, base);
	if (for_good)
		timer->function = NULL;
	unlock_base(base, irqs);
	return pending;
}

bool timer_delete(struct timer_list *timer)
{
	return delete(timer, false);
}

bool timer_shutdown(struct timer_list *timer)
{
	return delete(timer, true);
}

/* -1 = its function runs: on the CPU of *@runs_on, until (*@runs_on)->returns is not *@returns. */
static int try_delete_sync(struct timer_list *timer, bool for_good, struct timer_base **runs_on,
			   u32 *returns)
{
	struct timer_base *base;
	int deleted = -1;
	u32 irqs;

	base = lock_base(timer, &irqs);
	*runs_on = base;
	*returns = base->returns;
	if (base->running != timer)
		deleted = detach_if_pending(timer, base);
	/* Also while its function runs, which may want to arm it again. */
	if (for_good)
		timer->function = NULL;
	unlock_base(base, irqs);
	return deleted;
}

int timer_delete_sync_try(struct timer_list *timer)
{
	struct timer_base *base;
	u32 returns;

	return try_delete_sync(timer, false, &base, &returns);
}

/* Who waits for the function waits for all locks that it takes, also when it does not run now. */
static void note_lock(struct timer_list *timer)
{
	u32 irqs = local_irq_save();

	machine_lock_acquired(timer, 0);
	machine_lock_released(timer);
	local_irq_restore(irqs);
}

static __passed_over bool delete_sync(struct timer_list *timer, bool for_good)
{
	struct wait_note before;
	struct timer_base *base;
	bool waits = false;
	int deleted;
	u32 returns;

	if (unlikely(this_cpu()->irq_depth && !(READ_ONCE(timer->flags) & TIMER_IRQSAFE)))
		report_finding(FINDING_BAD_CONTEXT, NULL, (u64)__builtin_return_address(0),
			       preempt_count(), irqs_disabled(), this_cpu()->irq_depth);
	note_lock(timer);
	while ((deleted = try_delete_sync(timer, for_good, &base, &returns)) < 0) {
		/* It goes on when we return: never. */
		if (unlikely(base == this_cpu_ptr(bases)))
			report_finding(FINDING_DEADLOCK, NULL, current->index, WAIT_TIMER,
				       (u64)timer, 1);
		if (!waits)
			before = wait_begin(WAIT_TIMER, timer, base->cpu + 1);
		waits = true;
		machine_relax_while(&base->returns, returns);
	}
	if (waits)
		wait_end(before);
	return deleted;
}

bool timer_delete_sync(struct timer_list *timer)
{
	return delete_sync(timer, false);
}

bool timer_shutdown_sync(struct timer_list *timer)
{
	return delete_sync(timer, true);
}

static void call_function(struct timer_list *timer, void (*function)(struct timer_list *timer))
{
	struct balance before = balance_here();

	/* The timer's memory may be gone when it returns: only its address is used. */
	machine_lock_acquired(timer, 0);
	function(timer);
	machine_lock_released(timer);
	check_balance(function, before);
}

/* @base is locked and interrupts are off, and again when it returns. */
static void expire_timer(struct timer_base *base, struct timer_list *timer)
{
	void (*function)(struct timer_list *timer) = timer->function;
	bool irqs_off = timer->flags & TIMER_IRQSAFE;

	WRITE_ONCE(base->running, timer);
	detach_timer(timer);
	raw_spin_unlock(&base->lock);
	if (!irqs_off)
		local_irq_enable();
	call_function(timer, function);
	if (!irqs_off)
		local_irq_disable();
	raw_spin_lock(&base->lock);
	WRITE_ONCE(base->running, NULL);
	WRITE_ONCE(base->returns, base->returns + 1);
	machine_wake(&base->returns);
}

/* What its functions arm for a time that has come is for the next interrupt. */
static void take_expired(struct timer_base *base)
{
	u64 now = jiffies;

	while (!list_empty(&base->timers)) {
		struct timer_list *timer;

		timer = list_first_entry(&base->timers, struct timer_list, entry);
		if (time_after(timer->expires, now))
			break;
		__list_del(timer->entry.prev, timer->entry.next);
		insert_timer(timer, base->expired.prev);
	}
}

static void run_timers(void)
{
	struct timer_base *base = this_cpu_ptr(bases);

	local_irq_disable();
	raw_spin_lock(&base->lock);
	take_expired(base);
	while (!list_empty(&base->expired))
		expire_timer(base, list_first_entry(&base->expired, struct timer_list, entry));
	program(base);
	raw_spin_unlock(&base->lock);
	local_irq_enable();
}

/* Nothing runs there any more, so no function does. Nobody else ever holds two of the locks. */
void timers_dead_cpu(u32 cpu)
{
	struct timer_base *base = this_cpu_ptr(bases), *dead = per_cpu_ptr(bases, cpu);
	u32 irqs = local_irq_save();

	raw_spin_lock(&base->lock);
	raw_spin_lock(&dead->lock);
	while (!list_empty(&dead->timers)) {
		struct timer_list *timer;

		timer = list_first_entry(&dead->timers, struct timer_list, entry);
		__list_del(timer->entry.prev, timer->entry.next);
		/* Who waits for the lock of the old base sees that it is another one. */
		WRITE_ONCE(timer->flags, (timer->flags & ~TIMER_CPUMASK) | base->cpu);
		enqueue_timer(base, timer);
	}
	program(base);
	raw_spin_unlock(&dead->lock);
	raw_spin_unlock(&base->lock);
	local_irq_restore(irqs);
}

void timer_interrupt(void)
{
	/* What it was told has happened, so that it is told again. */
	this_cpu_ptr(bases)->programmed = 0;
	raise_softirq_irqoff(TIMER_SOFTIRQ);
}

struct sleeper {
	struct timer_list timer;
	struct task_struct *task;
};

static void wake_sleeper(struct timer_list *timer)
{
	wake_up_process(container_of(timer, struct sleeper, timer)->task);
}

u64 schedule_timeout(u64 timeout)
{
	struct sleeper sleeper = { .task = current };
	struct wait_note before;
	u64 expires;
	s64 left;

	if (timeout >= MAX_SCHEDULE_TIMEOUT) {
		schedule();
		return timeout;
	}
	expires = jiffies + timeout;
	timer_setup_on_stack(&sleeper.timer, wake_sleeper, 0);
	mod_timer(&sleeper.timer, expires);
	before = wait_begin(WAIT_TIMEOUT, (const void *)current->wait.object, expires);
	schedule();
	wait_end(before);
	if (!timer_delete_sync(&sleeper.timer))
		return 0;
	left = expires - jiffies;
	return left > 0 ? left : 0;
}

u64 schedule_timeout_uninterruptible(u64 timeout)
{
	set_current_blocked();
	return schedule_timeout(timeout);
}

void msleep(u32 ms)
{
	u64 left = msecs_to_jiffies(ms) + 1; /* The tick that has begun counts for nothing. */

	while (left)
		left = schedule_timeout_uninterruptible(left);
}

void timers_init(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct timer_base *base = per_cpu_ptr(bases, cpu);

		base->cpu = cpu;
		INIT_LIST_HEAD(&base->timers);
		INIT_LIST_HEAD(&base->expired);
	}
	open_softirq(TIMER_SOFTIRQ, run_timers);
}
