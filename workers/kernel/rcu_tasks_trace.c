// SPDX-License-Identifier: MIT
/*
 * RCU-tasks-trace: tasks are asked, one by one.
 *
 * Who is in a reader either runs, or is in its CPU's list of readers that were switched out. A
 * grace period notes what runs on each CPU, under the lock of its run queue, and only then looks
 * at the lists: who leaves its CPU in between is found there. Those in the lists are asked to
 * tell of their ends. What ran is looked at again after a grace period of RCU: by an interrupt
 * of its CPU if it still runs, else from here. The last task that holds the grace period wakes
 * the leader.
 *
 * Source: kernel/rcu/tasks.h (v6.1). We differ: an interrupt that comes while a reader is ending
 * takes it for ended, where Linux tries again later; so nothing is polled.
 */
#include <kernel/balance.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/irq_work.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/spinlock.h>
#include <percpu.h>

struct trace_cpu {
	u32 lock;                  /* of the list; its holder has interrupts off */
	struct hlist_head blocked; /* readers that were switched out, by their nodes */
	struct task_struct *ran;   /* when the grace period began; NULL = idle; leader */
	struct call_single_data csd;
};

static struct {
	u32 left;                  /* tasks that hold it, interrupts, 1 for the leader; atomic */
	struct task_struct *leader;/* woken by the last one; the leader writes */
} holdouts;

static DEFINE_PER_CPU(struct trace_cpu, trace_cpus);
static struct hlist_node blocked_nodes[MAX_TASKS]; /* by task index; as the list */

static struct task_struct *task_of(struct hlist_node *node)
{
	return &the_machine->task[node - blocked_nodes];
}

static void wake_leader(struct irq_work *unused)
{
	wake_up_process(READ_ONCE(holdouts.leader));
}

static DEFINE_IRQ_WORK(waking, wake_leader);

/* Also under the lock of a run queue, and in an NMI. */
static void put_left(void)
{
	if (atomic_dec_and_test(&holdouts.left))
		irq_work_queue(&waking);
}

/* The grace period waits for @task, for the reason @why (TRC_*). */
static void hold(struct task_struct *task, u32 why)
{
	atomic_inc(&holdouts.left);
	if (atomic_fetch_or(why, &task->trc_special) & TRC_HOLDOUT)
		atomic_dec(&holdouts.left);
}

/* And no more. */
static void release(struct task_struct *task)
{
	if (!(atomic_fetch_and(~TRC_HOLDOUT, &task->trc_special) & TRC_HOLDOUT))
		return;
	put_left();
	machine_offer_core();
}

/* @task does not run, or was interrupted here. True = in a reader, whose end is waited for. */
static bool inspect(struct task_struct *task)
{
	if (!(READ_ONCE(task->trc_special) & TRC_HOLDOUT))
		return false;
	if (trc_readers(READ_ONCE(task->trc_nesting))) {
		atomic_fetch_or(TRC_NEED_QS, &task->trc_special);
		return true;
	}
	release(task);
	return false;
}

/* The interrupt. What ran may have been switched out since: it is of this CPU all the same. */
static void inspect_here(void *task)
{
	if (inspect(task))
		machine_keep_core();
	put_left();
}

void rcu_tasks_trace_switched_out(struct task_struct *task)
{
	struct trace_cpu *here = this_cpu_ptr(trace_cpus);

	if (!trc_readers(READ_ONCE(task->trc_nesting)) ||
	    READ_ONCE(task->trc_special) & TRC_BLOCKED)
		return;
	raw_spin_lock(&here->lock);
	hlist_add_head_rcu(&blocked_nodes[task->index], &here->blocked);
	atomic_fetch_or(TRC_BLOCKED, &task->trc_special);
	raw_spin_unlock(&here->lock);
}

static void leave_blocked(struct task_struct *task)
{
	struct trace_cpu *here = this_cpu_ptr(trace_cpus);
	u32 flags = local_irq_save();

	raw_spin_lock(&here->lock);
	hlist_del_rcu(&blocked_nodes[task->index]);
	atomic_fetch_and(~TRC_BLOCKED, &task->trc_special);
	raw_spin_unlock(&here->lock);
	local_irq_restore(flags);
}

/*
 * The outermost reader of a task is ending, or of an interrupt in that very moment (@nesting is
 * not 0), whose task sees to its own list. It has left the list before it looks who waits for
 * it: who finds it there may still ask. What an NMI has interrupted is in no list: it was in
 * no reader, or is ending one.
 */
void rcu_read_unlock_trace_special(u32 nesting)
{
	struct task_struct *task = current;

	if (!nesting && READ_ONCE(task->trc_special) & TRC_BLOCKED)
		leave_blocked(task);
	release(task);
	WRITE_ONCE(task->trc_nesting, nesting);
}

/* What runs on @cpu may be in a reader, unless the CPU is idle: then it finds what is new. */
static void hold_running(u32 cpu)
{
	struct trace_cpu *trace_cpu = per_cpu_ptr(trace_cpus, cpu);
	struct cpu *target = cpu_at(cpu);
	u32 flags;

	trace_cpu->ran = NULL;
	if (cpu == smp_processor_id() || READ_ONCE(target->in_eqs))
		return;
	flags = local_irq_save();
	/* Whoever is switched to later sees what was done before this; so does who ran before. */
	raw_spin_lock(&target->runqueue_lock);
	trace_cpu->ran = target->curr;
	hold(trace_cpu->ran, TRC_UNCHECKED);
	raw_spin_unlock(&target->runqueue_lock);
	local_irq_restore(flags);
}

static void hold_blocked(u32 cpu)
{
	struct trace_cpu *trace_cpu = per_cpu_ptr(trace_cpus, cpu);
	u32 flags = local_irq_save();

	raw_spin_lock(&trace_cpu->lock);
	for (struct hlist_node *node = trace_cpu->blocked.first; node; node = node->next)
		hold(task_of(node), TRC_NEED_QS);
	raw_spin_unlock(&trace_cpu->lock);
	local_irq_restore(flags);
}

/* What ran on @cpu when the grace period began. */
static void look_again(u32 cpu)
{
	struct trace_cpu *trace_cpu = per_cpu_ptr(trace_cpus, cpu);
	struct task_struct *task = trace_cpu->ran;
	struct cpu *target = cpu_at(cpu);
	bool runs;
	u32 flags;

	if (!task || (READ_ONCE(task->trc_special) & TRC_HOLDOUT) != TRC_UNCHECKED)
		return;
	flags = local_irq_save();
	raw_spin_lock(&target->runqueue_lock);
	runs = target->curr == task;
	if (!runs)
		inspect(task);
	raw_spin_unlock(&target->runqueue_lock);
	local_irq_restore(flags);
	if (!runs)
		return;
	atomic_inc(&holdouts.left);
	trace_cpu->csd.func = inspect_here;
	trace_cpu->csd.info = task;
	/* The CPU is online, and the interrupt of the last grace period has been waited for. */
	smp_call_function_single_async(cpu, &trace_cpu->csd);
}

void rcu_tasks_trace_exit(const void *function)
{
	const struct balance after = { .readers = READ_ONCE(current->trc_nesting) };

	if (unlikely(after.readers))
		report_unbalanced(function, TASK_BALANCE, after);
}

const struct task_struct *rcu_tasks_trace_holder(void)
{
	for (u32 n = 0; n < MAX_TASKS; n++) {
		if (READ_ONCE(the_machine->task[n].trc_special) & TRC_HOLDOUT)
			return &the_machine->task[n];
	}
	return NULL;
}

static void wait_for_holdouts(void)
{
	struct wait_note before = wait_begin(WAIT_RCU_TASKS_TRACE, &holdouts, 0);

	if (!atomic_dec_and_test(&holdouts.left)) {
		for (;;) {
			set_current_blocked();
			if (!smp_load_acquire(&holdouts.left))
				break;
			schedule();
		}
		set_current_running();
	}
	wait_end(before);
}

static void wait_for_readers(void)
{
	int cpu;

	WRITE_ONCE(holdouts.leader, current);
	WRITE_ONCE(holdouts.left, 1);
	/* A CPU that is online here takes the interrupt. */
	cpus_read_lock();
	for_each_online_cpu(cpu)
		hold_running(cpu);
	for (u32 n = 0; n < num_cpus(); n++)
		hold_blocked(n);
	synchronize_rcu();
	for_each_online_cpu(cpu)
		look_again(cpu);
	cpus_read_unlock();
	wait_for_holdouts();
}

DEFINE_RCU_TASKS(trace, "rcu_tasks_trace", TRACE_READERS, wait_for_readers);

void synchronize_rcu_tasks_trace(void)
{
	synchronize_rcu_tasks_generic(&trace);
}

void call_rcu_tasks_trace(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_tasks_generic(head, func, &trace);
}

void rcu_barrier_tasks_trace(void)
{
	rcu_barrier_tasks_generic(&trace);
}

void rcu_tasks_trace_start(void)
{
	rcu_spawn_tasks_kthread_generic(&trace);
}
