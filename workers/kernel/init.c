// SPDX-License-Identifier: MIT
/* What CPU 0 starts once every CPU is up. */
#include <kernel/init.h>
#include <kernel/rcu.h>
#include <kernel/request.h>
#include <kernel/sched.h>
#include <kernel/slab.h>
#include <kernel/stop_machine.h>
#include <kernel/timer.h>

void kernel_early_init(void)
{
	sched_init();
	slab_init();
	timers_init();
}

/* CPU 0's first task: every CPU is up and idle. */
s64 kernel_init_task(void *unused)
{
	stop_machine_init();
	rcu_init();
	request_init();
	cmpxchg(&the_machine->state, MACHINE_BOOTING, MACHINE_RUNNING);
	machine_notify();
	return 0;
}
