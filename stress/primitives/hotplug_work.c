// SPDX-License-Identifier: MIT
/* Work and a timer of a CPU that goes down: they run there before, or elsewhere; none is lost. */
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/workqueue.h>

static void work_function(struct work_struct *work);
static DECLARE_WORK(work, work_function);
static DECLARE_DELAYED_WORK(delayed, work_function);
static u32 runs;

static void work_function(struct work_struct *unused)
{
	atomic_inc(&runs);
}

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
	workqueue_start();
	queue_delayed_work_on(1, system_wq, &delayed, 1);
}

TASK(0, hotplug)
{
	int error = cpu_down(1);

	claim(error == 0 && !cpu_online(1), error);
}

TASK(2, queues)
{
	schedule_work_on(1, &work);
	flush_work(&work);
	claim(READ_ONCE(runs), runs);
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	claim(runs == 2, runs);
}
