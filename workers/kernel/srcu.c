// SPDX-License-Identifier: MIT
/*
 * Grace periods of SRCU: two scans with a flip between them.
 *
 * First those are waited for that had picked the idle phase before the flip of the last grace
 * period, and were counted after its scan; then the phases are exchanged, and those of the one
 * that was used so far are waited for. New readers are in the other one, so they hold nobody up.
 *
 * Who waits for a grace period drives it, under the mutex of the domain; those that come
 * meanwhile queue there, and one grace period serves all that came before it began.
 */
#include "srcu_internal.h"

#include <error.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

int init_srcu_struct(struct srcu_struct *ssp)
{
	struct srcu_data *sda = kcalloc(num_cpus(), sizeof(*sda), GFP_KERNEL);

	if (!sda)
		return -ENOMEM;
	*ssp = (struct srcu_struct){ .sda = sda };
	mutex_init(&ssp->gp_mutex);
	mutex_init(&ssp->barrier_mutex);
	init_completion(&ssp->barrier_done);
	init_irq_work(&ssp->irq_work, srcu_request);
	INIT_WORK(&ssp->work, srcu_process);
	workqueue_start();
	return 0;
}

void cleanup_srcu_struct(struct srcu_struct *ssp)
{
	u64 readers = srcu_unbalanced_cpus(ssp), callbacks;

	if (unlikely(readers))
		report_finding(FINDING_BAD_STATE, NULL, (u64)ssp, readers, 0);
	callbacks = srcu_flush_work(ssp);
	if (unlikely(callbacks))
		report_finding(FINDING_BAD_STATE, NULL, (u64)ssp, callbacks, 0);
	kfree(ssp->sda);
	ssp->sda = NULL;
}

void srcu_check_read_flavor(struct srcu_struct *ssp, u32 flavor)
{
	u32 found = cmpxchg(&ssp->flavor, 0, flavor);

	if (unlikely(found && found != flavor))
		report_finding(FINDING_BAD_STATE, NULL, (u64)ssp, found, flavor);
}

static void srcu_flip(struct srcu_struct *ssp)
{
	smp_mb(); /* E: the scan before the flip; pairs with B and C. */
	WRITE_ONCE(ssp->idx, ssp->idx ^ 1);
	smp_mb(); /* D: the flip before the next scan; pairs with C. */
}

bool srcu_advance_state(struct srcu_struct *ssp, u32 tries)
{
	if (rcu_seq_state(ssp->seq) == SRCU_STATE_IDLE)
		rcu_seq_start(&ssp->seq);
	if (rcu_seq_state(ssp->seq) == SRCU_STATE_SCAN1) {
		if (!srcu_try_readers(ssp, ssp->idx ^ 1, tries))
			return false;
		srcu_flip(ssp);
		rcu_seq_set_state(&ssp->seq, SRCU_STATE_SCAN2);
	}
	if (!srcu_try_readers(ssp, ssp->idx ^ 1, tries))
		return false;
	rcu_seq_end(&ssp->seq);
	return true;
}

static void wait_for_grace_period(struct srcu_struct *ssp, u32 tries)
{
	u64 began, snap;

	might_sleep();
	smp_mb(); /* The caller's removals before the sequence is read. */
	began = machine_grace_period_begins(ssp);
	snap = rcu_seq_snap(&ssp->seq);
	mutex_lock(&ssp->gp_mutex);
	while (!rcu_seq_done(&ssp->seq, snap)) {
		if (!srcu_advance_state(ssp, tries))
			srcu_wait_for_readers(ssp, ssp->idx ^ 1);
	}
	/* A barrier, after which it is looked who could not have it; pairs with srcu_process(). */
	mutex_unlock(&ssp->gp_mutex);
	if (unlikely(READ_ONCE(ssp->work_wanted)))
		srcu_start_work(ssp);
	smp_mb(); /* The grace period before what the caller does next. */
	machine_grace_period_ends(ssp, began);
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	wait_for_grace_period(ssp, SRCU_TRIES);
}

void synchronize_srcu_expedited(struct srcu_struct *ssp)
{
	wait_for_grace_period(ssp, SRCU_TRIES_EXPEDITED);
}
