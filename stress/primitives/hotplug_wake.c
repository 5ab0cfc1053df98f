// SPDX-License-Identifier: MIT
/* Who is woken while its CPU is down goes on when it is up, and nobody sleeps there with a lock. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/cpu_hotplug.h>
#include <kernel/kthread.h>

static DECLARE_COMPLETION(without_lock);
static DECLARE_COMPLETION(with_lock);
static u64 went_on;

static void goes_on(void)
{
	claim(cpu_online(1), went_on);
	atomic_inc(&went_on);
}

INIT
{
	claim(cpuhp_threads_init() == 0, 0);
}

TASK(0, hotplug)
{
	claim(cpu_down(1) == 0, 0);
	claim(!cpu_online(1), 0);
	claim(cpu_up(1) == 0, 0);
}

TASK(1, sleeper)
{
	wait_for_completion(&without_lock);
	goes_on();
	cond_park();
	goes_on();
}

TASK(1, keeper)
{
	cpus_read_lock();
	wait_for_completion(&with_lock);
	goes_on();
	cpus_read_unlock();
	yield();
	goes_on();
}

TASK(2, waker)
{
	complete(&with_lock);
	complete(&without_lock);
}

FINAL_CHECK
{
	claim(went_on == 4, went_on);
}
