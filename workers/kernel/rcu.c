// SPDX-License-Identifier: MIT
/*
 * RCU, the flavour whose readers have preemption or interrupts off.
 *
 * A grace period interrupts every CPU that is not idle. One that finds
 * preemption on is in no reader, and says so at once; another says so when its
 * count falls to 0, when it switches tasks, or at its next tick. So a grace
 * period lasts as long as the longest reader, plus an interrupt.
 *
 * Those that wait queue on a mutex; one grace period serves all that came
 * before it began: two for any number of waiters.
 */
#include <error.h>
#include <finding.h>
#include <kernel/balance.h>
#include <kernel/completion.h>
#include <kernel/kthread.h>
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/smp.h>
#include <list.h>
#include <percpu.h>
#include <trace.h>

#define RCU_SEQ_STATE_MASK 3UL /* low bits: 0 idle, 1 in progress */

struct rcu_state {
	u64 seq;                   /* grace periods << 2 | state; under gp_mutex, all read */
	u32 left;                  /* CPUs that have not reported, plus 1 for the leader; atomic */
	struct mutex gp_mutex;     /* held by the leader */
	struct task_struct *leader;/* woken by the last reporter; the leader writes */
};

struct rcu_cpu {
	u32 need_qs;               /* 1 = a grace period waits for this CPU; xchg() reports */
	struct call_single_data csd;
};

static struct rcu_state rcu = { .gp_mutex = MUTEX_INIT(rcu.gp_mutex) };
static DEFINE_PER_CPU(struct rcu_cpu, rcu_cpus);
static struct llist_head callbacks;        /* of call_rcu(); newest first */
static struct task_struct *callback_task;

static bool rcu_seq_done(u64 snap)
{
	return (s64)(smp_load_acquire(&rcu.seq) - snap) >= 0;
}

/* The value that seq has when a full grace period lies after now. */
static u64 rcu_seq_snap(u64 *began)
{
	u64 snap;

	smp_mb(); /* The caller's removals before the sequence is read. */
	*began = machine_grace_period_begins(PREEMPT_OFF_READERS);
	snap = (READ_ONCE(rcu.seq) + 2 * RCU_SEQ_STATE_MASK + 1) & ~RCU_SEQ_STATE_MASK;
	smp_mb();
	return snap;
}

static void put_left(void)
{
	if (atomic_dec_and_test(&rcu.left))
		wake_up_process(READ_ONCE(rcu.leader));
}

/* @cpu has been outside of every reader since the grace period began. */
static void report_qs(u32 cpu, bool late)
{
	struct rcu_cpu *rcu_cpu = per_cpu_ptr(rcu_cpus, cpu);

	if (!READ_ONCE(rcu_cpu->need_qs) || !xchg(&rcu_cpu->need_qs, 0))
		return;
	trace_event(EVENT_QS, rcu.seq, late);
	put_left();
}

static bool interrupted_in_slot(void)
{
	const struct pt_regs *regs = this_cpu()->irq_regs;

	return regs && machine_ip_is_atomic(regs->ip);
}

/* The interrupt of a grace period. */
static void rcu_gp_interrupt(void *info)
{
	struct cpu *cpu = this_cpu();

	machine_quiescent(false);
	/*
	 * The csd is unlocked before need_qs is read: a leader that has set it, and
	 * finds the csd still locked, sends no interrupt. Pairs with its xchg().
	 */
	smp_mb();
	/* A handler that it came into is a reader, also where it has interrupts on. */
	if (cpu->preempt_count || cpu->irq_depth > 1 || interrupted_in_slot())
		cpu->preempt_work |= PREEMPT_WORK_QS;
	else
		report_qs(cpu->id, false);
}

void rcu_irq_exit_check(void)
{
	struct cpu *cpu = this_cpu();

	if (!(cpu->preempt_work & PREEMPT_WORK_QS))
		return;
	machine_quiescent(false);
	if (cpu->preempt_count || cpu->irq_depth > 1 || interrupted_in_slot())
		return;
	cpu->preempt_work &= ~PREEMPT_WORK_QS;
	report_qs(cpu->id, true);
}

void rcu_report_late_qs(void)
{
	u32 flags = local_irq_save();
	struct cpu *cpu = this_cpu();

	machine_quiescent(false);
	cpu->preempt_work &= ~PREEMPT_WORK_QS;
	report_qs(cpu->id, true);
	local_irq_restore(flags);
}

void rcu_note_context_switch(void)
{
	struct cpu *cpu = this_cpu();

	machine_quiescent(false);
	cpu->preempt_work &= ~PREEMPT_WORK_QS;
	report_qs(cpu->id, true);
}

void rcu_momentary_eqs(void)
{
	machine_quiescent(true);
	report_qs(smp_processor_id(), true);
}

void rcu_idle_enter(void)
{
	machine_quiescent(false);
	/* Every read of this CPU before it counts as idle; pairs with the leader's. */
	(void)xchg(&this_cpu()->in_eqs, 1);
}

void rcu_idle_exit(void)
{
	(void)xchg(&this_cpu()->in_eqs, 0);
}

void rcutree_report_cpu_dead(void)
{
	rcu_idle_enter();
	/* Idle before need_qs is read: who set it, and saw a CPU that is not, waits for this. */
	report_qs(smp_processor_id(), true);
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
	rcu_idle_enter();
}

static void ask_cpus(cpumask_t mask)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		struct rcu_cpu *rcu_cpu = per_cpu_ptr(rcu_cpus, cpu);

		if (!(mask & cpumask_of(cpu)))
			continue;
		/* Idle now, after the grace period began: it can see nothing older. */
		if (READ_ONCE(cpu_at(cpu)->in_eqs)) {
			report_qs(cpu, false);
			continue;
		}
		/*
		 * Still on its way from the last grace period, it serves this one as well. One
		 * that goes down may be in a reader, and reports when it rests.
		 */
		smp_call_function_single_async(cpu, &rcu_cpu->csd);
	}
}

static cpumask_t not_reported(void)
{
	cpumask_t mask = 0;

	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (READ_ONCE(per_cpu_ptr(rcu_cpus, cpu)->need_qs))
			mask |= cpumask_of(cpu);
	}
	return mask;
}

static void wait_for_reports(void)
{
	struct wait_note before = wait_begin(WAIT_GRACE_PERIOD, &rcu, not_reported());

	if (!atomic_dec_and_test(&rcu.left)) {
		for (;;) {
			set_current_blocked();
			if (!smp_load_acquire(&rcu.left))
				break;
			current->wait.value = not_reported();
			schedule();
		}
		set_current_running();
	}
	wait_end(before);
}

/* Under gp_mutex. */
static void rcu_gp(void)
{
	u32 self = smp_processor_id();
	cpumask_t mask = ~0UL >> (MAX_CPUS - num_cpus()) & ~cpumask_of(self);

	WRITE_ONCE(rcu.seq, rcu.seq + 1);
	smp_mb(); /* The start before any CPU is looked at. */
	trace_event(EVENT_GP_START, rcu.seq, mask);
	WRITE_ONCE(rcu.leader, current);
	/* The caller may sleep, so its own CPU is in no reader. */
	WRITE_ONCE(rcu.left, __builtin_popcountl(mask) + 1);
	for (u32 cpu = 0; cpu < num_cpus(); cpu++) {
		if (mask & cpumask_of(cpu))
			xchg(&per_cpu_ptr(rcu_cpus, cpu)->need_qs, 1);
	}
	ask_cpus(mask);
	wait_for_reports();
	smp_mb(); /* Every report before the end is seen. */
	smp_store_release(&rcu.seq, (rcu.seq | RCU_SEQ_STATE_MASK) + 1);
	trace_event(EVENT_GP_END, rcu.seq, 0);
}

void synchronize_rcu(void)
{
	u64 began, snap;

	might_sleep();
	snap = rcu_seq_snap(&began);
	while (!rcu_seq_done(snap)) {
		mutex_lock(&rcu.gp_mutex);
		if (!rcu_seq_done(snap))
			rcu_gp();
		mutex_unlock(&rcu.gp_mutex);
	}
	smp_mb(); /* The grace period before what the caller does next. */
	machine_grace_period_ends(PREEMPT_OFF_READERS, began);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	machine_callback_queued(head);
	if (llist_add((struct llist_node *)head, &callbacks))
		wake_up_process(READ_ONCE(callback_task));
}

static_assert(offsetof(struct rcu_head, next) == offsetof(struct llist_node, next),
	      "an rcu_head is queued as an llist_node");

static void run_callback(struct rcu_head *head)
{
	void (*func)(struct rcu_head *head) = head->func;

	machine_callback_runs(head);
	func(head);
	check_balance(func, TASK_BALANCE);
}

static s64 run_callbacks(void *unused)
{
	while (!kthread_should_stop()) {
		struct llist_node *node, *next;
		struct wait_note before;

		set_current_blocked();
		if (!READ_ONCE(callbacks.first)) {
			before = wait_begin(WAIT_WORK, &callbacks, 0);
			schedule();
			wait_end(before);
			continue;
		}
		set_current_running();
		node = llist_reverse_order(llist_del_all(&callbacks));
		synchronize_rcu();
		for (; node; node = next) {
			struct rcu_head *head = (struct rcu_head *)node;

			next = node->next;
			run_callback(head);
			cond_resched();
		}
	}
	return 0;
}

struct rcu_barrier_call {
	struct rcu_head head;
	struct completion done;
};

static void barrier_callback(struct rcu_head *head)
{
	complete(&container_of(head, struct rcu_barrier_call, head)->done);
}

void rcu_barrier(void)
{
	struct rcu_barrier_call call;

	/* One queue, in order: what was queued before has run when ours runs. */
	init_completion(&call.done);
	call_rcu(&call.head, barrier_callback);
	wait_for_completion(&call.done);
}

void rcu_init(void)
{
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		per_cpu_ptr(rcu_cpus, cpu)->csd.func = rcu_gp_interrupt;
	callback_task = kthread_run(0, run_callbacks, NULL, "rcu_callbacks");
}
