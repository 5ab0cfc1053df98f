// SPDX-License-Identifier: MIT
/*
 * What is to happen after a grace period: callbacks, and numbers that somebody asks about. One
 * task sees to all of it; those that come while it waits are the next batch.
 */
#include <kernel/balance.h>
#include <kernel/completion.h>
#include <kernel/kthread.h>
#include <kernel/rcu_internal.h>
#include <kernel/slab.h>
#include <list.h>

#define CALLBACKS_IN_A_ROW 64 /* then others of its CPU have their turn */
#define LARGEST_OFFSET 4096UL /* below it a function is the offset of kfree_rcu() */

static struct llist_head callbacks;        /* of call_rcu(); newest first */
static u64 wanted;                         /* the latest number somebody waits for; atomic */
static struct task_struct *callback_task;

void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	head->func = func;
	machine_callback_queued(RCU_READERS, head);
	if (llist_add((struct llist_node *)head, &callbacks))
		wake_up_process(READ_ONCE(callback_task));
}

static_assert(offsetof(struct rcu_head, next) == offsetof(struct llist_node, next),
	      "an rcu_head is queued as an llist_node");

u64 start_poll_synchronize_rcu(void)
{
	u64 cookie = get_state_synchronize_rcu(), before = READ_ONCE(wanted);

	while ((s64)(cookie - before) > 0) {
		u64 seen = cmpxchg(&wanted, before, cookie);

		if (seen == before) {
			wake_up_process(READ_ONCE(callback_task));
			break;
		}
		before = seen;
	}
	return cookie;
}

static void run_callback(struct rcu_head *head)
{
	rcu_callback_t func = head->func;

	machine_callback_runs(RCU_READERS, head);
	if ((u64)func < LARGEST_OFFSET) {
		kfree((void *)((u64)head - (u64)func));
		return;
	}
	func(head);
	check_balance(func, TASK_BALANCE);
}

static void run_batch(struct llist_node *node)
{
	struct llist_node *next;

	for (u32 n = 1; node; node = next, n++) {
		next = node->next;
		run_callback((struct rcu_head *)node);
		if (n % CALLBACKS_IN_A_ROW)
			cond_resched();
		else
			yield();
	}
}

static s64 run_callbacks(void *unused)
{
	while (!kthread_should_stop()) {
		struct llist_node *batch;
		struct wait_note before;

		set_current_blocked();
		if (!READ_ONCE(callbacks.first) && rcu_seq_done(&rcu.seq, READ_ONCE(wanted))) {
			before = wait_begin(WAIT_WORK, &callbacks, 0);
			schedule();
			wait_end(before);
			continue;
		}
		set_current_running();
		batch = llist_reverse_order(llist_del_all(&callbacks));
		synchronize_rcu();
		run_batch(batch);
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

void rcu_callbacks_init(void)
{
	callback_task = kthread_run(0, run_callbacks, NULL, "rcu_callbacks");
}
