// SPDX-License-Identifier: MIT
/* Of two CPUs that offer an object one wins; the other frees its own, so that none is left. */
#include <explore.h>
#include <kernel/slab.h>

static u64 *shared;

INIT
{
	slab_leak_mark();
}

static void offer(void)
{
	u64 *mine = kzalloc(sizeof(*mine), GFP_KERNEL);

	if (cmpxchg(&shared, NULL, mine))
		kfree(mine);
}

TASK(0, left)
{
	offer();
}

TASK(1, right)
{
	offer();
}

FINAL_CHECK
{
	kfree(shared);
	slab_leak_check();
}
