// SPDX-License-Identifier: MIT
/*
 * RCU-tasks: one grace period at a time, led by who waits for it.
 *
 * A grace period of RCU comes first: what made a task runnable, or blocked it, before then is
 * seen. Every task on a run queue holds the grace period until it passes through a quiescent
 * state; those that sleep have passed through one when they went to sleep. Another grace period
 * of RCU comes last: it waits for what tasks do with preemption off while they end, and for
 * interrupts of idle CPUs.
 */
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/sched.h>

static struct {
	u32 left;                  /* tasks that hold it, plus 1 for the leader; atomic */
	struct task_struct *leader;/* woken by the last one; the leader writes */
} holdouts;

/* @task holds the grace period no more. */
static void release(struct task_struct *task)
{
	struct task_struct *leader = READ_ONCE(holdouts.leader);

	if (!(atomic_fetch_and(~TASKS_RCU_HOLDOUT, &task->tasks_rcu) & TASKS_RCU_HOLDOUT))
		return;
	if (atomic_dec_and_test(&holdouts.left))
		wake_up_process(leader);
	machine_offer_core();
}

void rcu_tasks_qs(void)
{
	if (unlikely(READ_ONCE(current->tasks_rcu) & TASKS_RCU_HOLDOUT))
		release(current);
}

void cond_resched_tasks_rcu_qs(void)
{
	machine_reader_ends(TASK_READERS);
	rcu_tasks_qs();
	cond_resched();
	machine_reader_begins(TASK_READERS);
	cond_park();
}

void rcu_tasks_wait_begin(void)
{
	machine_reader_ends(TASK_READERS);
	/* One word: whoever comes second, here or in hold(), sees the other. */
	if (atomic_fetch_or(TASKS_RCU_WAITS, &current->tasks_rcu) & TASKS_RCU_HOLDOUT)
		release(current);
}

void rcu_tasks_wait_end(void)
{
	atomic_fetch_and(~TASKS_RCU_WAITS, &current->tasks_rcu);
	machine_reader_begins(TASK_READERS);
}

static void hold(struct task_struct *task)
{
	atomic_inc(&holdouts.left);
	if (atomic_fetch_or(TASKS_RCU_HOLDOUT, &task->tasks_rcu) & TASKS_RCU_WAITS)
		release(task);
}

/* Every task that can run on @cpu, whether it does or was preempted. */
static void hold_tasks_of(struct cpu *cpu)
{
	struct task_struct *task;
	u32 flags = local_irq_save();
	bool any = false;

	raw_spin_lock(&cpu->runqueue_lock);
	list_for_each_entry(task, &cpu->runqueue, run) {
		if (task == current)
			continue;
		hold(task);
		any = true;
	}
	raw_spin_unlock(&cpu->runqueue_lock);
	local_irq_restore(flags);
	if (any)
		machine_hurry(cpu->id);
}

const struct task_struct *rcu_tasks_holder(void)
{
	for (u32 n = 0; n < MAX_TASKS; n++) {
		if (READ_ONCE(the_machine->task[n].tasks_rcu) & TASKS_RCU_HOLDOUT)
			return &the_machine->task[n];
	}
	return NULL;
}

static void wait_for_holdouts(void)
{
	struct wait_note before = wait_begin(WAIT_RCU_TASKS, &holdouts, 0);

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

static void wait_for_tasks(void)
{
	synchronize_rcu();
	WRITE_ONCE(holdouts.leader, current);
	WRITE_ONCE(holdouts.left, 1);
	/* Also of a CPU that went down: what was preempted there is preempted still. */
	for (u32 cpu = 0; cpu < num_cpus(); cpu++)
		hold_tasks_of(cpu_at(cpu));
	wait_for_holdouts();
	synchronize_rcu();
}

DEFINE_RCU_TASKS(rcu_tasks, "rcu_tasks", TASK_READERS, wait_for_tasks);

void synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks_generic(&rcu_tasks);
}

void call_rcu_tasks(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu_tasks_generic(head, func, &rcu_tasks);
}

void rcu_barrier_tasks(void)
{
	rcu_barrier_tasks_generic(&rcu_tasks);
}

void rcu_tasks_start(void)
{
	rcu_spawn_tasks_kthread_generic(&rcu_tasks);
}
