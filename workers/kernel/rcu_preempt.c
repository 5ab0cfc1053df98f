// SPDX-License-Identifier: MIT
/*
 * Preemptible RCU: readers that count their nesting in the task.
 *
 * A task that loses its CPU in a section goes on a list before that CPU reports, so that it
 * holds whatever grace period waits for the CPU; a grace period that begins holds all who are on
 * the list. The end of the outermost section takes it off, and releases what it held: at once, or
 * where interrupts and preemption are next on.
 */
#include <kernel/rcu_internal.h>
#include <kernel/sched.h>
#include <kernel/spinlock.h>
#include <list.h>

struct blocked_reader {
	struct list_head list;
	u32 holds;            /* RCU_FOR_*: grace periods that wait for it */
};

/* By index of the task; all of it under blocked_lock, with interrupts off. */
static struct blocked_reader blocked_readers[MAX_TASKS];
static LIST_HEAD(blocked_list);
static u32 blocked_lock;
static u32 nr_blocked;        /* on the list; who begins a grace period reads it without */

/* Under blocked_lock. Each counts once, whoever is first: its CPU or the leader. */
static void hold(struct blocked_reader *reader, u32 bits)
{
	bits &= ~reader->holds;
	reader->holds |= bits;
	if (bits & RCU_FOR_ALL)
		atomic_inc(&rcu.left);
	if (bits & RCU_FOR_HASTY)
		atomic_inc(&rcu_expedited.left);
}

void rcu_preempt_note_switch(struct task_struct *task)
{
	struct blocked_reader *reader = &blocked_readers[task->index];

	if (!task->rcu_nesting) {
		rcu_preempt_deferred_qs(task);
		return;
	}
	/* In the list since it last lost its CPU in this section: who began since holds it. */
	if (task->rcu_special & RCU_SPECIAL_BLOCKED)
		return;
	task->rcu_special |= RCU_SPECIAL_BLOCKED;
	raw_spin_lock(&blocked_lock);
	list_add_tail(&reader->list, &blocked_list);
	WRITE_ONCE(nr_blocked, nr_blocked + 1);
	smp_mb(); /* In the list before need_qs is read; pairs with the leader, which writes it. */
	hold(reader, rcu_needs_this_cpu());
	raw_spin_unlock(&blocked_lock);
}

static u32 leave_list(struct task_struct *task)
{
	struct blocked_reader *reader = &blocked_readers[task->index];
	u32 held;

	raw_spin_lock(&blocked_lock);
	list_del(&reader->list);
	WRITE_ONCE(nr_blocked, nr_blocked - 1);
	held = reader->holds;
	WRITE_ONCE(reader->holds, 0);
	raw_spin_unlock(&blocked_lock);
	return held;
}

void rcu_preempt_deferred_qs(struct task_struct *task)
{
	u32 special = task->rcu_special;

	task->rcu_special = 0;
	if (special & RCU_SPECIAL_BLOCKED)
		rcu_put_left(leave_list(task));
	if (special & RCU_SPECIAL_NEED_QS)
		rcu_report_this_cpu(true);
}

void rcu_read_unlock_special(void)
{
	struct cpu *cpu = this_cpu();
	u32 flags;

	/* What it has interrupted sees to it: it had begun before, or is about to look. */
	if (in_nmi())
		return;
	if (cpu->irq_off || cpu->preempt_count || cpu->irq_depth) {
		/* The count that falls to 0, or the end of the interrupt, sees to it. */
		cpu->preempt_work |= PREEMPT_WORK_QS;
		if (cpu->irq_off && !cpu->irq_depth)
			machine_raise_irq(cpu->id, IRQ_RCU);
		return;
	}
	flags = local_irq_save();
	machine_quiescent(false);
	/* An interrupt may have been first. */
	if (!current->rcu_nesting && current->rcu_special)
		rcu_preempt_deferred_qs(current);
	local_irq_restore(flags);
	/* Who has waited may have been woken here. */
	if (cpu->preempt_work)
		preempt_slowpath();
}

void rcu_preempt_hold(const struct rcu_state *state)
{
	struct blocked_reader *reader;
	u32 flags;

	if (!READ_ONCE(nr_blocked))
		return;
	flags = local_irq_save();
	raw_spin_lock(&blocked_lock);
	list_for_each_entry(reader, &blocked_list, list)
		hold(reader, state->bit);
	raw_spin_unlock(&blocked_lock);
	local_irq_restore(flags);
}

const struct task_struct *rcu_blocked_holder(const struct wait_note *note, u32 *count)
{
	const struct rcu_state *state = rcu_state_of(note);
	const struct task_struct *first = NULL;

	*count = 0;
	for (u32 n = 0; n < MAX_TASKS && state; n++) {
		if (!(READ_ONCE(blocked_readers[n].holds) & state->bit))
			continue;
		first = first ? first : &the_machine->task[n];
		++*count;
	}
	return first;
}
