// SPDX-License-Identifier: MIT
/* A call of a CPU that goes down is made there, or refused; none is lost, nobody waits for ever. */
#include <error.h>
#include <explore.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/smp.h>

static u64 sent, made;

static void count(void *info)
{
	claim(smp_processor_id() == 1, smp_processor_id());
	atomic_inc(&made);
}

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
}

TASK(0, hotplug)
{
	int error = cpu_down(1);

	claim(error == 0 && !cpu_online(1), error);
	error = cpu_up(1);
	claim(error == 0 && cpu_online(1), error);
}

static void call(bool wait)
{
	u64 before = READ_ONCE(made);
	int error = smp_call_function_single(1, count, NULL, wait);

	claim(error == 0 || error == -ENXIO, error);
	sent += error == 0;
	claim(error || !wait || READ_ONCE(made) > before, sent, made);
}

TASK(2, caller)
{
	call(false);
	call(true);
}

EXPLORE_CPUS(3);

FINAL_CHECK
{
	claim(made == sent, made, sent);
}
