// SPDX-License-Identifier: MIT
/* A thread that has parked does nothing until it is unparked, and is not woken in vain then. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/kthread.h>

static DECLARE_COMPLETION(went_on);
static struct task_struct *worker;
static u32 parked;

static s64 work(void *unused)
{
	set_current_blocked();
	if (!kthread_should_park())
		schedule();
	set_current_running();
	kthread_parkme();
	claim(!READ_ONCE(parked), 0);
	complete(&went_on);
	return 0;
}

INIT
{
	worker = kthread_run(1, work, NULL, "worker");
}

TASK(0, parker)
{
	int error = kthread_park(worker);

	claim(error == 0, error);
	WRITE_ONCE(parked, 1);
	WRITE_ONCE(parked, 0);
	kthread_unpark(worker);
	wait_for_completion(&went_on);
}

EXPLORE_CPUS(2);
