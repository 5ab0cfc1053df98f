// SPDX-License-Identifier: MIT
/*
 * A task that has its CPU for itself waits on the word, so that all of them go
 * on within a microsecond or so; others sleep, so that their neighbours can run.
 */
#include <kernel/rcu.h>
#include <kernel/rcu_tasks.h>
#include <kernel/sched.h>
#include <tasks/rendezvous.h>

static void sleep_while(struct rendezvous *rendezvous, u32 turn)
{
	for (;;) {
		set_current_blocked();
		if (smp_load_acquire(&rendezvous->turn) != turn)
			break;
		schedule();
	}
	set_current_running();
}

static void wake_sleepers(struct scenario *scenario)
{
	for (u32 n = 0; n < scenario->nr_tasks; n++) {
		const struct scenario_task *task = &scenario->tasks[n];

		if (task->shares_cpu && task->index != current->index)
			wake_up_process(&the_machine->task[task->index]);
	}
}

void rendezvous_wait(struct rendezvous *rendezvous, struct scenario_task *task,
		     void (*last)(struct scenario *scenario))
{
	u32 turn = READ_ONCE(rendezvous->turn);
	struct wait_note before;

	might_sleep();
	if (atomic_add_return(1, &rendezvous->arrived) == rendezvous->tasks) {
		if (last)
			last(task->scenario);
		WRITE_ONCE(rendezvous->arrived, 0);
		smp_store_release(&rendezvous->turn, turn + 1);
		machine_wake(&rendezvous->turn);
		wake_sleepers(task->scenario);
		return;
	}
	/* Who comes too late has a note of its own: this one is never the cause. */
	before = wait_begin(WAIT_WORK, rendezvous, 0);
	if (task->shares_cpu) {
		sleep_while(rendezvous, turn);
	} else {
		rcu_tasks_wait_begin();
		rcu_user_enter();
		while (smp_load_acquire(&rendezvous->turn) == turn)
			machine_relax_while(&rendezvous->turn, turn);
		rcu_user_exit();
		rcu_tasks_wait_end();
	}
	wait_end(before);
}
