// SPDX-License-Identifier: MIT
/*
 * Has everybody left a phase, and how to wait for that.
 *
 * Who waits looks a few times first: most readers are short, and run on another core. Then it
 * asks the CPUs whose counts differ, by an interrupt, and sleeps: a reader that leaves on a CPU
 * that was asked tells. Counts that were on their way out when the CPU took the interrupt are
 * seen by who asked, since it looks again before it sleeps; later ones find that it has. So
 * nobody polls, readers need no barrier for it, and a CPU that waits for a core gets one.
 */
#include "srcu_internal.h"

#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>
#include <percpu.h>

#define ASKED_NOTHING 0UL
#define ASKED_FOR_SEVERAL 1UL

/* Its CPU alone, with interrupts off. */
struct srcu_ask {
	u64 key;              /* what a reader that leaves here tells: a key, or ASKED_* */
	struct irq_work tell; /* by an interrupt: a reader leaves under any lock, and in an NMI */
};

static DEFINE_PER_CPU(struct srcu_ask, srcu_asks);

static LIST_HEAD(waiters);         /* struct srcu_waiter, under waiters_lock */
static DEFINE_SPINLOCK(waiters_lock);

static u64 key_of(const struct srcu_struct *ssp, u32 phase)
{
	return (u64)ssp + phase + 1;
}

static bool is_told(const struct srcu_waiter *waiter)
{
	u64 told = smp_load_acquire(&waiter->told), wanted = READ_ONCE(waiter->wanted);

	return told && (told & wanted) == wanted && !READ_ONCE(waiter->on_their_way);
}

/* Under waiters_lock. */
static void wake_if_told(struct srcu_waiter *waiter)
{
	if (!is_told(waiter))
		return;
	if (waiter->task)
		wake_up_process(waiter->task);
	else
		srcu_start_work(container_of(waiter, struct srcu_struct, waiter));
}

/* Likewise. A barrier before it is looked what is wanted; pairs with sleep_until_told(). */
static void tell(struct srcu_waiter *waiter)
{
	atomic_fetch_or(cpumask_of(smp_processor_id()), &waiter->told);
	wake_if_told(waiter);
}

/* On the CPU that was asked, with interrupts off: a reader has left. */
static void tell_waiters(struct irq_work *work)
{
	struct srcu_ask *ask = container_of(work, struct srcu_ask, tell);
	u64 key = ask->key;
	struct srcu_waiter *waiter;
	u32 flags;

	ask->key = ASKED_NOTHING;
	this_cpu()->preempt_work &= ~PREEMPT_WORK_SRCU;
	flags = spin_lock_irqsave(&waiters_lock);
	list_for_each_entry(waiter, &waiters, list) {
		if (key == ASKED_FOR_SEVERAL || key == waiter->key)
			tell(waiter);
	}
	spin_unlock_irqrestore(&waiters_lock, flags);
}

static u64 sum_locks(const struct srcu_struct *ssp, u32 phase)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		sum += READ_ONCE(ssp->sda[cpu].lock[phase]);
	return sum;
}

static u64 sum_unlocks(const struct srcu_struct *ssp, u32 phase)
{
	u64 sum = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		sum += READ_ONCE(ssp->sda[cpu].unlock[phase]);
	return sum;
}

/*
 * Unlocks first: a reader that comes and leaves meanwhile is in the second sum at most. The
 * other way round it would make up for one that stays.
 */
bool srcu_readers_are_gone(struct srcu_struct *ssp, u32 phase)
{
	u64 unlocks = sum_unlocks(ssp, phase);

	/*
	 * A: what was removed before the sum of locks; pairs with B. Readers that have no B are
	 * interrupted by a grace period of RCU: what they have read before has its count out.
	 * Who is first to say that readers are such does it by a locked operation: if it is not
	 * seen here, it has not read anything yet.
	 */
	if (READ_ONCE(ssp->flavor) == SRCU_READ_FLAVOR_FAST)
		synchronize_rcu();
	else
		smp_mb();
	return sum_locks(ssp, phase) == unlocks;
}

static u64 unbalanced(const struct srcu_struct *ssp, u32 phase)
{
	u64 mask = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		const struct srcu_data *data = &ssp->sda[cpu];

		if (READ_ONCE(data->unlock[phase]) != READ_ONCE(data->lock[phase]))
			mask |= cpumask_of(cpu);
	}
	return mask;
}

u64 srcu_unbalanced_cpus(const struct srcu_struct *ssp)
{
	return unbalanced(ssp, 0) | unbalanced(ssp, 1);
}

/* CPUs where the last one of them may leave; 0 = none is left. */
static u64 in_the_way(const struct srcu_struct *ssp, u32 phase)
{
	u64 mask = unbalanced(ssp, phase);

	/* After the counts: pairs with the smp_wmb() of srcu_down_read(). */
	return mask && READ_ONCE(ssp->moves) ? online_mask() : mask;
}

static void watch_unlocks(const struct srcu_struct *ssp, u32 cpu, u32 phase, u64 unlocks)
{
	struct wait_note before = wait_begin(WAIT_SRCU, ssp, cpumask_of(cpu));

	rcu_tasks_wait_begin();
	machine_spin_while((const u32 *)&ssp->sda[cpu].unlock[phase], (u32)unlocks);
	rcu_tasks_wait_end();
	wait_end(before);
}

/*
 * Let a reader of another CPU leave while this one has nothing else to do. False = it is better
 * to sleep: somebody here could be who they wait for, or it is not known where they leave.
 */
static bool watch_readers(const struct srcu_struct *ssp, u32 phase)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		const struct srcu_data *data = &ssp->sda[cpu];
		u64 unlocks = READ_ONCE(data->unlock[phase]);

		if (READ_ONCE(data->lock[phase]) == unlocks)
			continue;
		/* After the counts: pairs with the smp_wmb() of srcu_down_read(). */
		if (READ_ONCE(ssp->moves) || cpu == smp_processor_id() ||
		    READ_ONCE(this_cpu()->nr_running) > 1)
			return false;
		watch_unlocks(ssp, cpu, phase, unlocks);
		break;
	}
	return true;
}

bool srcu_try_readers(struct srcu_struct *ssp, u32 phase, u32 tries)
{
	while (!srcu_readers_are_gone(ssp, phase)) {
		if (!tries-- || !watch_readers(ssp, phase))
			return false;
	}
	return true;
}

/* What a CPU is asked for. */
struct srcu_question {
	const struct srcu_struct *ssp;
	u32 phase;
};

/* The first reader that leaves here tells who waits for @key; interrupts are off. */
static void have_told(u64 key)
{
	struct srcu_ask *ask = this_cpu_ptr(srcu_asks);

	ask->key = ask->key == ASKED_NOTHING || ask->key == key ? key : ASKED_FOR_SEVERAL;
	ask->tell.func = tell_waiters;
	this_cpu()->preempt_work |= PREEMPT_WORK_SRCU;
}

/* On the CPU that is asked, with interrupts off. */
static void ask_this_cpu(void *info)
{
	const struct srcu_question *question = info;
	const struct srcu_data *data = this_srcu_data(question->ssp);

	/* It may be in the middle of a section, which may be short. */
	if (data->lock[question->phase] != data->unlock[question->phase])
		machine_keep_core();
	have_told(key_of(question->ssp, question->phase));
}

/*
 * Nobody could ask this CPU while it was down, and readers may leave here: tasks that slept
 * here in one, and those that began elsewhere. So the first one that leaves tells everybody.
 */
void srcu_cpu_starting(void)
{
	have_told(ASKED_FOR_SEVERAL);
}

/* When this returns, readers of the phase that leave on these CPUs tell, or are seen to have. */
static void ask_cpus(u64 mask, const struct srcu_struct *ssp, u32 phase)
{
	struct srcu_question question = { .ssp = ssp, .phase = phase };

	preempt_disable();
	if (mask & cpumask_of(smp_processor_id())) {
		u32 flags = local_irq_save();

		ask_this_cpu(&question);
		local_irq_restore(flags);
	}
	smp_call_function_many(mask, ask_this_cpu, &question, true);
	preempt_enable();
}

void srcu_reader_left(const struct srcu_struct *ssp, u32 phase)
{
	struct srcu_ask *ask = this_cpu_ptr(srcu_asks);
	u64 key = READ_ONCE(ask->key);

	if (key == key_of(ssp, phase) || key == ASKED_FOR_SEVERAL)
		irq_work_queue(&ask->tell);
}

void srcu_add_waiter(struct srcu_waiter *waiter, const struct srcu_struct *ssp, u32 phase)
{
	u32 flags = spin_lock_irqsave(&waiters_lock);

	waiter->ssp = ssp;
	waiter->phase = phase;
	waiter->key = key_of(ssp, phase);
	waiter->asked = 0;
	/* Until it is known who is asked, each one that tells wakes: a work does not look again. */
	WRITE_ONCE(waiter->wanted, 0);
	WRITE_ONCE(waiter->told, 0);
	list_add_tail(&waiter->list, &waiters);
	spin_unlock_irqrestore(&waiters_lock, flags);
}

void srcu_forget_waiter(struct srcu_waiter *waiter)
{
	u32 flags;

	if (!waiter->list.next)
		return;
	flags = spin_lock_irqsave(&waiters_lock);
	list_del(&waiter->list);
	spin_unlock_irqrestore(&waiters_lock, flags);
	waiter->list.next = NULL;
}

u64 srcu_ask_readers(struct srcu_struct *ssp, u32 phase, struct srcu_waiter *waiter)
{
	u64 more = in_the_way(ssp, phase);

	/* Who has told has to be asked again. */
	waiter->asked &= ~xchg(&waiter->told, 0UL);
	do {
		ask_cpus(more & ~waiter->asked, ssp, phase);
		waiter->asked |= more;
		if (srcu_readers_are_gone(ssp, phase))
			return 0;
		/* One that came since, in a phase that it had picked before, was not asked. */
		more = in_the_way(ssp, phase);
	} while (more & ~waiter->asked);
	/* All of them, unless one may leave anywhere. */
	WRITE_ONCE(waiter->wanted, READ_ONCE(ssp->moves) ? 0 : more);
	return more;
}

/* On a CPU that is asked, with interrupts off: it tells now, or when a reader has left. */
static void ask_or_tell(void *info)
{
	struct srcu_waiter *waiter = info;
	const struct srcu_data *data = this_srcu_data(waiter->ssp);
	u32 flags = spin_lock_irqsave(&waiters_lock);

	/* One that may leave elsewhere is for who asks to see; it has come after it looked. */
	if (data->lock[waiter->phase] != data->unlock[waiter->phase] &&
	    !READ_ONCE(waiter->ssp->moves)) {
		machine_keep_core();
		have_told(waiter->key);
	} else {
		atomic_fetch_or(cpumask_of(smp_processor_id()), &waiter->told);
	}
	/* The waiter stays until it has the lock. */
	atomic_fetch_and(~cpumask_of(smp_processor_id()), &waiter->on_their_way);
	wake_if_told(waiter);
	spin_unlock_irqrestore(&waiters_lock, flags);
}

/*
 * Ask @cpus, where alone readers may leave, and go on at once: the waiter is woken when all of
 * those have told that this returns. One that is down does when it is up: if readers are left.
 */
static u64 ask_without_waiting(struct srcu_waiter *waiter, u64 cpus)
{
	u64 self = cpumask_of(smp_processor_id()), online;

	preempt_disable();
	online = online_mask();
	WRITE_ONCE(waiter->told, 0);
	WRITE_ONCE(waiter->on_their_way, cpus & online);
	WRITE_ONCE(waiter->wanted, cpus);
	if (cpus & self) {
		u32 flags = local_irq_save();

		ask_or_tell(waiter);
		local_irq_restore(flags);
	}
	smp_call_function_many(cpus & online, ask_or_tell, waiter, false);
	preempt_enable();
	if (unlikely(cpus & ~online)) {
		cpus &= online | unbalanced(waiter->ssp, waiter->phase);
		WRITE_ONCE(waiter->wanted, cpus);
	}
	return cpus;
}

static void sleep_until_told(struct srcu_waiter *waiter)
{
	for (;;) {
		/* Blocked before the test, the test before sleeping; pairs with tell(). */
		set_current_blocked();
		if (is_told(waiter))
			break;
		schedule();
	}
	set_current_running();
}

void srcu_wait_for_readers(struct srcu_struct *ssp, u32 phase)
{
	struct srcu_waiter waiter = { .task = current };
	u64 left = unbalanced(ssp, phase);
	struct wait_note before = wait_begin(WAIT_SRCU, ssp, left);

	srcu_add_waiter(&waiter, ssp, phase);
	for (;;) {
		/* After the counts: pairs with the smp_wmb() of srcu_down_read(). */
		if (READ_ONCE(ssp->moves))
			left = srcu_ask_readers(ssp, phase, &waiter);
		else if (left)
			left = ask_without_waiting(&waiter, left);
		if (left) {
			current->wait.value = left;
			sleep_until_told(&waiter);
		}
		if (srcu_readers_are_gone(ssp, phase))
			break;
		left = unbalanced(ssp, phase);
	}
	srcu_forget_waiter(&waiter);
	wait_end(before);
}
