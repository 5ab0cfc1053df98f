// SPDX-License-Identifier: MIT
/*
 * Work that is queued while its function runs runs again, and never on two CPUs at once: what it
 * counts without a lock is a race otherwise.
 */
#include <explore.h>
#include <kernel/workqueue.h>

static u32 wanted, done, runs;

static void work_function(struct work_struct *work)
{
	WRITE_ONCE(done, READ_ONCE(wanted));
	runs++;
}

static DECLARE_WORK(work, work_function);

INIT
{
	workqueue_start();
}

TASK(0, first)
{
	atomic_inc(&wanted);
	schedule_work(&work);
}

TASK(1, second)
{
	atomic_inc(&wanted);
	schedule_work(&work);
}

FINAL_CHECK
{
	claim(done == 2 && (runs == 1 || runs == 2), done, runs);
	claim(!work_busy(&work), work.flags);
}
