// SPDX-License-Identifier: MIT
/* Callbacks of SRCU that wait for different grace periods are all run, while others wait, too. */
#include <explore.h>
#include <kernel/srcu.h>

#define CALLBACKS 3

DEFINE_STATIC_SRCU(domain);

static struct rcu_head heads[CALLBACKS];
static u64 calls;

static void count(struct rcu_head *unused)
{
	calls++;
}

INIT
{
	workqueue_start();
}

TASK(0, caller)
{
	/* None of them is run before all are queued. */
	preempt_disable();
	for (u32 n = 0; n < CALLBACKS; n++)
		call_srcu(&domain, &heads[n], count);
	preempt_enable();
	srcu_barrier(&domain);
	claim(calls == CALLBACKS, calls);
}

TASK(1, updater)
{
	synchronize_srcu(&domain);
	synchronize_srcu(&domain);
}
