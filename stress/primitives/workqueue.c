// SPDX-License-Identifier: MIT
/* Work that is queued while its function runs runs again, and never on two CPUs at once. */
#include <explore.h>
#include <kernel/workqueue.h>

static u32 wanted, done, running;

static void work_function(struct work_struct *work)
{
	claim(!atomic_fetch_add(1, &running), running);
	WRITE_ONCE(done, READ_ONCE(wanted));
	atomic_dec(&running);
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
	claim(done == 2 && !work_busy(&work), done, work_busy(&work));
}
