// SPDX-License-Identifier: MIT
/*
 * RCU-tasks, common to its flavours.
 *
 * Those that wait queue on a mutex; one grace period serves all that came before it began: two
 * for any number of waiters. The leader may be preempted; what it holds is the mutex alone.
 */
#include <kernel/rcu_tasks_callbacks.h>
#include <kernel/sched.h>

#define RCU_SEQ_STATE_MASK 3UL /* low bits: 0 idle, 1 in progress */

static bool seq_done(struct rcu_tasks *rtp, u64 snap)
{
	return (s64)(smp_load_acquire(&rtp->seq) - snap) >= 0;
}

/* The value that seq has when a full grace period lies after now. */
static u64 seq_snap(struct rcu_tasks *rtp)
{
	u64 snap = (READ_ONCE(rtp->seq) + 2 * RCU_SEQ_STATE_MASK + 1) & ~RCU_SEQ_STATE_MASK;

	smp_mb(); /* The sequence before whatever the caller finds when it waits. */
	return snap;
}

/* Under rtp->mutex. */
static void one_gp(struct rcu_tasks *rtp)
{
	WRITE_ONCE(rtp->seq, rtp->seq + 1);
	smp_mb(); /* The start before any reader is looked for; pairs with that of seq_snap(). */
	rtp->wait_gp();
	smp_mb(); /* Every reader's end before the end is seen. */
	smp_store_release(&rtp->seq, (rtp->seq | RCU_SEQ_STATE_MASK) + 1);
}

void synchronize_rcu_tasks_generic(struct rcu_tasks *rtp)
{
	u64 began, snap;

	might_sleep();
	smp_mb(); /* The caller's removals before the sequence is read. */
	began = machine_grace_period_begins(rtp->readers);
	snap = seq_snap(rtp);
	while (!seq_done(rtp, snap)) {
		mutex_lock(&rtp->mutex);
		if (!seq_done(rtp, snap))
			one_gp(rtp);
		mutex_unlock(&rtp->mutex);
	}
	smp_mb(); /* The grace period before what the caller does next. */
	machine_grace_period_ends(rtp->readers, began);
}
