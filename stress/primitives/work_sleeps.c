// SPDX-License-Identifier: MIT
/* Work whose function sleeps, and which is queued again meanwhile, runs again when it has ended. */
#include <explore.h>
#include <kernel/workqueue.h>

static u32 wanted, done, running;

static void work_function(struct work_struct *work)
{
	claim(!atomic_fetch_add(1, &running), running);
	schedule_timeout_uninterruptible(1);
	WRITE_ONCE(done, READ_ONCE(wanted));
	atomic_dec(&running);
}

static DECLARE_WORK(work, work_function);

INIT
{
	workqueue_start();
}

TASK(0, queues)
{
	for (u32 n = 0; n < 2; n++) {
		atomic_inc(&wanted);
		schedule_work(&work);
		yield();
	}
	flush_work(&work);
	claim(done == 2, done);
}
