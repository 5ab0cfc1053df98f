// SPDX-License-Identifier: MIT
/* Who looks something up under a lock may take a reference: the last one goes under it. */
#include <explore.h>
#include <kernel/refcount.h>
#include <kernel/slab.h>

struct thing {
	refcount_t refs;
	u64 value;
};

static DEFINE_SPINLOCK(lock);
static struct thing *listed;  /* under lock */

static void put(struct thing *thing)
{
	if (!refcount_dec_and_lock(&thing->refs, &lock))
		return;
	listed = NULL;
	spin_unlock(&lock);
	kfree(thing);
}

INIT
{
	listed = kzalloc(sizeof(*listed), GFP_KERNEL);
	listed->value = 42;
	refcount_set(&listed->refs, 1);
}

TASK(0, owner)
{
	struct thing *thing;

	spin_lock(&lock);
	thing = listed;
	spin_unlock(&lock);
	put(thing);
}

TASK(1, finder)
{
	struct thing *thing;

	spin_lock(&lock);
	thing = listed;
	if (thing)
		refcount_inc(&thing->refs);
	spin_unlock(&lock);
	if (!thing)
		return;
	claim(thing->value == 42, thing->value);
	put(thing);
}
