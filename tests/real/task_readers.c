// SPDX-License-Identifier: MIT
/* Readers of RCU-tasks and its other flavours, and updaters that wait for them. */
#include <kernel/completion.h>
#include <kernel/rcu_tasks.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

enum flavour { TASKS, RUDE, TRACE, FLAVOURS };

u32 task_reader_inside;       /* mask of those below that have begun; atomic */
u32 task_reader_leave;        /* Python writes 1 */
u32 flavour_updated[FLAVOURS]; /* grace periods that have ended */
u32 flavour_called[FLAVOURS]; /* callbacks that have run; their thread adds */

#define INSIDE_LOOP 0x1
#define INSIDE_SLEEP 0x2

static DECLARE_COMPLETION(task_reader_woken);

/* Does not switch by itself, though it may lose its CPU. */
s64 loop_until_told(void *unused)
{
	atomic_fetch_or(INSIDE_LOOP, &task_reader_inside);
	while (!READ_ONCE(task_reader_leave))
		current->progress++;
	return 0;
}

s64 loop_with_preemption_off(void *unused)
{
	preempt_disable();
	loop_until_told(NULL);
	preempt_enable();
	return 0;
}

s64 sleep_in_trace_reader(void *unused)
{
	rcu_read_lock_trace();
	atomic_fetch_or(INSIDE_SLEEP, &task_reader_inside);
	wait_for_completion(&task_reader_woken);
	rcu_read_unlock_trace();
	return 0;
}

s64 wake_trace_reader(u64 unused)
{
	complete(&task_reader_woken);
	return 0;
}

s64 update_flavour(void *flavour)
{
	switch ((u64)flavour) {
	case TASKS:
		synchronize_rcu_tasks();
		break;
	case RUDE:
		synchronize_rcu_tasks_rude();
		break;
	case TRACE:
		synchronize_rcu_tasks_trace();
		break;
	}
	atomic_inc(&flavour_updated[(u64)flavour]);
	return 0;
}

struct flavour_call {
	struct rcu_head head;
	u64 flavour;
};

static void flavour_callback(struct rcu_head *head)
{
	struct flavour_call *call = container_of(head, struct flavour_call, head);

	flavour_called[call->flavour]++;
	kfree(call);
}

/* So many of each. */
s64 call_flavours(void *count)
{
	for (u64 n = 0; n < (u64)count * FLAVOURS; n++) {
		struct flavour_call *call = kmalloc(sizeof(*call), GFP_KERNEL);

		call->flavour = n % FLAVOURS;
		if (call->flavour == TASKS)
			call_rcu_tasks(&call->head, flavour_callback);
		else if (call->flavour == RUDE)
			call_rcu_tasks_rude(&call->head, flavour_callback);
		else
			call_rcu_tasks_trace(&call->head, flavour_callback);
	}
	return 0;
}

s64 use_a_queue_for_each_cpu(u64 unused)
{
	rcu_task_enqueue_lim = num_cpus();
	rcu_tasks_start();
	rcu_tasks_rude_start();
	rcu_tasks_trace_start();
	return 0;
}

s64 flavour_barriers(u64 unused)
{
	rcu_barrier_tasks();
	rcu_barrier_tasks_rude();
	rcu_barrier_tasks_trace();
	return 0;
}
