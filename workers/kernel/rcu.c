// SPDX-License-Identifier: MIT
/*
 * RCU: grace periods, and the quiescent states that end them.
 *
 * A grace period interrupts every CPU that is not idle. One that is in no reader says so at
 * once; another says so when it leaves the reader, when it switches tasks, or at its next tick.
 * So a grace period lasts as long as the longest reader, plus an interrupt. Readers that have
 * lost their CPU hold it, too: see rcu_preempt.c. With preempt=none an interrupt does not know
 * what it has come into: only a switch of tasks, idle, cond_resched() and the like count.
 *
 * Those that wait queue on a mutex; one grace period serves all that came
 * before it began: two for any number of waiters. Expedited ones have a sequence of
 * their own, so they wait for none of these, and share all the rest.
 */
#include <error.h>
#include <finding.h>
#include <kernel/rcu_internal.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <percpu.h>
#include <trace.h>

struct rcu_cpu {
	u32 need_qs;               /* RCU_FOR_*: wait for this CPU; leaders set, atomic */
	struct call_single_data csd[2]; /* of rcu, and of rcu_expedited; its leader sends it */
};

struct rcu_state rcu = { .bit = RCU_FOR_ALL, .gp_mutex = MUTEX_INIT(rcu.gp_mutex) };
struct rcu_state rcu_expedited = {
	.bit = RCU_FOR_HASTY, .gp_mutex = MUTEX_INIT(rcu_expedited.gp_mutex),
};

static DEFINE_PER_CPU(struct rcu_cpu, rcu_cpus);

/* The value that seq has when a full grace period lies after now, which is @began. */
static u64 full_grace_period(const struct rcu_state *state, u64 *began)
{
	smp_mb(); /* The caller's removals before the sequence; pairs with rcu_seq_start(). */
	*began = machine_grace_period_begins(RCU_READERS);
	return rcu_seq_snap(&state->seq);
}

static void put_left(struct rcu_state *state)
{
	if (atomic_dec_and_test(&state->left))
		wake_up_process(READ_ONCE(state->leader));
}

void rcu_put_left(u32 bits)
{
	if (bits & RCU_FOR_ALL)
		put_left(&rcu);
	if (bits & RCU_FOR_HASTY)
		put_left(&rcu_expedited);
	if (bits)
		machine_offer_core();
}

u32 rcu_needs_this_cpu(void)
{
	return READ_ONCE(this_cpu_ptr(rcu_cpus)->need_qs);
}

/* It has been outside of every reader since the grace periods began that wait for it. */
void rcu_report_this_cpu(bool late)
{
	struct rcu_cpu *rcu_cpu = this_cpu_ptr(rcu_cpus);
	u32 needs;

	this_cpu()->preempt_work &= ~PREEMPT_WORK_QS;
	if (!READ_ONCE(rcu_cpu->need_qs))
		return;
	needs = xchg(&rcu_cpu->need_qs, 0);
	if (!needs)
		return;
	trace_event(EVENT_QS, rcu.seq, late);
	rcu_put_left(needs);
}

/* The same, seen by a leader: since its own grace period began, and maybe not since another. */
static void report_for(struct rcu_state *state, u32 cpu)
{
	struct rcu_cpu *rcu_cpu = per_cpu_ptr(rcu_cpus, cpu);

	if (!(atomic_fetch_and(~state->bit, &rcu_cpu->need_qs) & state->bit))
		return;
	trace_event(EVENT_QS, state->seq, false);
	put_left(state);
}

static bool interrupted_in_slot(void)
{
	const struct pt_regs *regs = this_cpu()->irq_regs;

	return regs && machine_ip_is_atomic(regs->ip);
}

/* Without preemption an interrupt may have come into a reader, and nobody knows. */
static bool is_surely_no_reader(const struct task_struct *task)
{
	return preempt_is_full() || task->rcu_special & RCU_SPECIAL_USER;
}

/* Report now, or have it done when what this CPU is in ends; interrupts are off. */
static void report_or_owe(struct cpu *cpu, bool late)
{
	struct task_struct *task = cpu->curr;

	if (unlikely(task->rcu_nesting)) {
		/* Also if a handler, which may be what is interrupted, is the reader. */
		task->rcu_special |= RCU_SPECIAL_NEED_QS;
		cpu->preempt_work &= ~PREEMPT_WORK_QS;
	} else if (cpu->preempt_count || cpu->irq_depth > 1 || interrupted_in_slot() ||
		   !is_surely_no_reader(task)) {
		/* A handler that it came into is a reader, also where it has interrupts on. */
		cpu->preempt_work |= PREEMPT_WORK_QS;
	} else {
		if (preempt_is_full() && task->rcu_special)
			rcu_preempt_deferred_qs(task);
		rcu_report_this_cpu(late);
	}
}

static bool owes_report(const struct cpu *cpu)
{
	return cpu->preempt_work & PREEMPT_WORK_QS || cpu->curr->rcu_special & RCU_SPECIAL_NEED_QS;
}

/* The interrupt of a grace period. */
static void rcu_gp_interrupt(void *info)
{
	machine_quiescent(false);
	/*
	 * The csd is unlocked before need_qs is read: a leader that has set it, and
	 * finds the csd still locked, sends no interrupt. Pairs with that in rcu_gp().
	 */
	smp_mb();
	report_or_owe(this_cpu(), false);
	if (owes_report(this_cpu()))
		machine_keep_core();
}

void rcu_irq_exit_check(void)
{
	struct cpu *cpu = this_cpu();

	if (!(cpu->preempt_work & PREEMPT_WORK_QS))
		return;
	machine_quiescent(false);
	report_or_owe(cpu, true);
}

void rcu_report_late_qs(void)
{
	u32 flags = local_irq_save();

	machine_quiescent(false);
	report_or_owe(this_cpu(), true);
	local_irq_restore(flags);
}

void rcu_note_context_switch(void)
{
	struct task_struct *task = current;

	machine_quiescent(false);
	machine_region_ends(false);
	if (unlikely(task->rcu_nesting | task->rcu_special) && preempt_is_full())
		rcu_preempt_note_switch(task);
	rcu_report_this_cpu(true);
	machine_region_ends(true);
}

void rcu_all_qs(void)
{
	u32 flags = local_irq_save();

	machine_quiescent(false);
	machine_region_ends(false);
	rcu_report_this_cpu(true);
	machine_region_ends(true);
	local_irq_restore(flags);
}

void rcu_momentary_eqs(void)
{
	machine_quiescent(true);
	machine_region_ends(false);
	rcu_report_this_cpu(true);
	machine_region_ends(true);
}

static void stop_watching(void)
{
	machine_quiescent(false);
	machine_region_ends(false);
	/* Every read of this CPU before it counts as idle; pairs with the leader's. */
	(void)xchg(&this_cpu()->in_eqs, 1);
}

void rcu_idle_enter(void)
{
	machine_quiescent(false);
	machine_region_ends(false);
	if (this_cpu()->preempt_work & PREEMPT_WORK_QS)
		rcu_report_this_cpu(true);
	stop_watching();
}

void rcu_idle_exit(void)
{
	(void)xchg(&this_cpu()->in_eqs, 0);
	machine_region_ends(true);
}

void rcu_user_enter(void)
{
	u32 flags;

	/* Elsewhere an interrupt knows whether it has come into a reader. */
	if (preempt_is_full())
		return;
	flags = local_irq_save();
	machine_quiescent(false);
	machine_region_ends(false);
	current->rcu_special |= RCU_SPECIAL_USER;
	if (this_cpu()->preempt_work & PREEMPT_WORK_QS)
		rcu_report_this_cpu(true);
	local_irq_restore(flags);
}

void rcu_user_exit(void)
{
	if (preempt_is_full())
		return;
	current->rcu_special &= ~RCU_SPECIAL_USER;
	machine_region_ends(true);
}

void rcutree_report_cpu_dead(void)
{
	rcu_idle_enter();
	/* Idle before need_qs is read: who set it, and saw a CPU that is not, waits for this. */
	rcu_report_this_cpu(true);
}

void rcutree_report_cpu_starting(void)
{
	rcu_idle_exit();
}

bool rcu_nmi_enter(void)
{
	if (!READ_ONCE(this_cpu()->in_eqs))
		return false;
	/* Before any read of the handler: who saw the CPU idle has removed what it removes. */
	rcu_idle_exit();
	return true;
}

void rcu_nmi_exit(void)
{
	stop_watching();
}

static void ask_cpus(struct rcu_state *state, cpumask_t mask)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct rcu_cpu *rcu_cpu = per_cpu_ptr(rcu_cpus, cpu);

		if (!(mask & cpumask_of(cpu)))
			continue;
		/* Idle now, after the grace period began: it can see nothing older. */
		if (READ_ONCE(cpu_at(cpu)->in_eqs)) {
			report_for(state, cpu);
			continue;
		}
		/*
		 * Still on its way from the last grace period, it serves this one as well. One
		 * that goes down may be in a reader, and reports when it rests.
		 */
		smp_call_function_single_async(cpu, &rcu_cpu->csd[state == &rcu_expedited]);
	}
}

static cpumask_t not_reported(const struct rcu_state *state)
{
	cpumask_t mask = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (READ_ONCE(per_cpu_ptr(rcu_cpus, cpu)->need_qs) & state->bit)
			mask |= cpumask_of(cpu);
	}
	return mask;
}

const struct rcu_state *rcu_state_of(const struct wait_note *note)
{
	if (note->object == (u64)&rcu)
		return &rcu;
	return note->object == (u64)&rcu_expedited ? &rcu_expedited : NULL;
}

u64 rcu_unreported(const struct wait_note *note)
{
	const struct rcu_state *state = rcu_state_of(note);

	return state ? not_reported(state) : note->value;
}

/* @mask: who was asked. Who wants to know whose report is missing now, calls rcu_unreported(). */
static void wait_for_reports(struct rcu_state *state, cpumask_t mask)
{
	struct wait_note before = wait_begin(WAIT_GRACE_PERIOD, state, mask);

	if (!atomic_dec_and_test(&state->left)) {
		for (;;) {
			set_current_blocked();
			if (!smp_load_acquire(&state->left))
				break;
			schedule();
		}
		set_current_running();
	}
	wait_end(before);
}

/* Under gp_mutex. */
static void rcu_gp(struct rcu_state *state)
{
	u32 self = smp_processor_id();
	cpumask_t mask = ~0UL >> (MAX_CPUS - num_cpus()) & ~cpumask_of(self);

	rcu_seq_start(&state->seq);
	trace_event(EVENT_GP_START, state->seq, mask);
	WRITE_ONCE(state->leader, current);
	/* The caller may sleep, so its own CPU is in no reader but those that lost it. */
	machine_region_ends(true);
	WRITE_ONCE(state->left, __builtin_popcountl(mask) + 1);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (mask & cpumask_of(cpu))
			atomic_fetch_or(state->bit, &per_cpu_ptr(rcu_cpus, cpu)->need_qs);
	}
	/* Who loses its CPU from here on finds need_qs; who had before is in the list. */
	if (preempt_is_full())
		rcu_preempt_hold(state);
	ask_cpus(state, mask);
	wait_for_reports(state, mask);
	rcu_seq_end(&state->seq);
	trace_event(EVENT_GP_END, state->seq, 0);
}

static void synchronize(struct rcu_state *state)
{
	u64 began, snap;

	might_sleep();
	snap = full_grace_period(state, &began);
	while (!rcu_seq_done(&state->seq, snap)) {
		mutex_lock(&state->gp_mutex);
		if (!rcu_seq_done(&state->seq, snap))
			rcu_gp(state);
		mutex_unlock(&state->gp_mutex);
	}
	smp_mb(); /* The end before what the caller does next; pairs with rcu_seq_end(). */
	machine_grace_period_ends(RCU_READERS, began);
}

void synchronize_rcu(void)
{
	synchronize(&rcu);
}

void synchronize_rcu_expedited(void)
{
	synchronize(&rcu_expedited);
}

u64 get_state_synchronize_rcu(void)
{
	u64 began, cookie = full_grace_period(&rcu, &began);

	machine_cookie_taken(RCU_READERS, cookie);
	return cookie;
}

bool poll_state_synchronize_rcu(u64 cookie)
{
	if (!rcu_seq_done(&rcu.seq, cookie))
		return false;
	smp_mb(); /* The end before what the caller does next; pairs with rcu_seq_end(). */
	machine_cookie_passed(RCU_READERS, cookie);
	return true;
}

void cond_synchronize_rcu(u64 cookie)
{
	if (!poll_state_synchronize_rcu(cookie))
		synchronize_rcu();
}

u64 rcu_get_gp_seq(void)
{
	return rcu_seq_ctr(rcu_seq_current(&rcu.seq));
}

u64 rcu_exp_batches_completed(void)
{
	return rcu_seq_ctr(rcu_seq_current(&rcu_expedited.seq));
}

void rcu_init(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		for (u32 n = 0; n < 2; n++)
			per_cpu_ptr(rcu_cpus, cpu)->csd[n].func = rcu_gp_interrupt;
	}
	rcu_callbacks_init();
}
