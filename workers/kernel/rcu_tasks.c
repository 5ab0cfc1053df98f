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
#include <kernel/mutex.h>
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>

struct rcu_tasks {
	struct mutex mutex;        /* held by the leader */
	u32 left;                  /* tasks that hold it, plus 1 for the leader; atomic */
	struct task_struct *leader;/* woken by the last one; the leader writes */
	u32 held;                  /* index + 1 of the task looked at last; the leader writes */
};

static struct rcu_tasks rcu_tasks = { .mutex = MUTEX_INIT(rcu_tasks.mutex) };

/* @task holds the grace period no more. */
static void release(struct task_struct *task)
{
	struct task_struct *leader = READ_ONCE(rcu_tasks.leader);

	if (!(atomic_fetch_and(~TASKS_RCU_HOLDOUT, &task->tasks_rcu) & TASKS_RCU_HOLDOUT))
		return;
	if (atomic_dec_and_test(&rcu_tasks.left))
		wake_up_process(leader);
}

void rcu_tasks_qs(void)
{
	if (unlikely(READ_ONCE(current->tasks_rcu) & TASKS_RCU_HOLDOUT))
		release(current);
}

void rcu_tasks_quiescent(void)
{
	machine_reader_ends(TASK_READERS);
	rcu_tasks_qs();
	machine_reader_begins(TASK_READERS);
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
	atomic_inc(&rcu_tasks.left);
	WRITE_ONCE(rcu_tasks.held, task->index + 1);
	if (atomic_fetch_or(TASKS_RCU_HOLDOUT, &task->tasks_rcu) & TASKS_RCU_WAITS)
		release(task);
}

/* Every task that can run on @cpu, whether it does or was preempted. */
static void hold_tasks_of(struct cpu *cpu)
{
	struct task_struct *task;
	u32 flags = local_irq_save();

	raw_spin_lock(&cpu->runqueue_lock);
	list_for_each_entry(task, &cpu->runqueue, run) {
		if (task != current)
			hold(task);
	}
	raw_spin_unlock(&cpu->runqueue_lock);
	local_irq_restore(flags);
}

static void wait_for_holdouts(void)
{
	struct wait_note before = wait_begin(WAIT_RCU_TASKS, &rcu_tasks, rcu_tasks.held);

	if (!atomic_dec_and_test(&rcu_tasks.left)) {
		for (;;) {
			set_current_blocked();
			if (!smp_load_acquire(&rcu_tasks.left))
				break;
			schedule();
		}
		set_current_running();
	}
	wait_end(before);
}

void synchronize_rcu_tasks(void)
{
	u64 began = machine_grace_period_begins(TASK_READERS);
	int cpu;

	might_sleep();
	mutex_lock(&rcu_tasks.mutex);
	synchronize_rcu();
	WRITE_ONCE(rcu_tasks.leader, current);
	WRITE_ONCE(rcu_tasks.left, 1);
	WRITE_ONCE(rcu_tasks.held, 0);
	for_each_online_cpu(cpu)
		hold_tasks_of(cpu_at(cpu));
	wait_for_holdouts();
	synchronize_rcu();
	mutex_unlock(&rcu_tasks.mutex);
	machine_grace_period_ends(TASK_READERS, began);
}
