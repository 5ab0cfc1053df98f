// SPDX-License-Identifier: MIT
/* Every callback has run when the barrier returns, though its CPU's queue is given up meanwhile. */
#include <explore.h>
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/rcu_tasks_rude.h>
#include <kernel/spinlock.h>

static struct rcu_head heads[2];
static u32 ran;

/* The third one idles: callbacks wait until it has switched. */
EXPLORE_CPUS(3);

static void callback(struct rcu_head *head)
{
	atomic_fetch_or(1u << (head - heads), &ran);
}

static void add(struct rcu_head *head)
{
	call_rcu_tasks_rude(head, callback);
}

INIT
{
	rcu_task_enqueue_lim = 2;
	rcu_tasks_rude_start();
}

/*
 * As what is called by the scheduler would do it. When the callback has run, so few are left that
 * one queue is enough.
 */
TASK(0, first)
{
	struct cpu *cpu = this_cpu();
	u32 flags = local_irq_save();

	raw_spin_lock(&cpu->runqueue_lock);
	add(&heads[0]);
	raw_spin_unlock(&cpu->runqueue_lock);
	local_irq_restore(flags);
}

TASK(1, second)
{
	add(&heads[1]);
	rcu_barrier_tasks_rude();
	claim(READ_ONCE(ran) >> 1 & 1, ran);
}

FINAL_CHECK
{
	claim(ran == 3, ran);
}
