// SPDX-License-Identifier: MIT
/* Callbacks from two CPUs: also the one that is queued while the others run is run. */
#include <explore.h>
#include <kernel/rcu.h>

static struct rcu_head heads[2];
static u64 calls;

static void count(struct rcu_head *unused)
{
	calls++;
}

TASK(1, first)
{
	call_rcu(&heads[0], count);
}

TASK(1, second)
{
	call_rcu(&heads[1], count);
}

FINAL_CHECK
{
	claim(calls == 2, calls);
}
