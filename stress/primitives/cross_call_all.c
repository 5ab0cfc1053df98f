// SPDX-License-Identifier: MIT
/* A call to all, from two CPUs at once: three CPUs run each, and none after it has returned. */
#include <explore.h>
#include <kernel/smp.h>

static u32 seen[2], over[2];

static void see(void *info)
{
	u32 *mine = info;

	claim(!READ_ONCE(over[mine - seen]), mine - seen);
	atomic_inc(mine);
}

static void call_all(u32 sender)
{
	on_each_cpu(see, &seen[sender], true);
	claim(READ_ONCE(seen[sender]) == 3, sender, seen[sender]);
	WRITE_ONCE(over[sender], 1);
}

TASK(0, left)
{
	call_all(0);
}

TASK(1, right)
{
	call_all(1);
}

EXPLORE_CPUS(3);
