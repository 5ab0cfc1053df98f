// SPDX-License-Identifier: MIT
/* A lookup takes a reference only of what somebody else has one of; the last one frees. */
#include <explore.h>
#include <kernel/kref.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

struct thing {
	struct kref kref;
	struct rcu_head head;
	u64 value;
};

static struct thing *published;

static void free_thing(struct rcu_head *head)
{
	kfree(container_of(head, struct thing, head));
}

static void release(struct kref *kref)
{
	struct thing *thing = container_of(kref, struct thing, kref);

	claim(thing->value == 42, thing->value);
	thing->value = 0;
	call_rcu(&thing->head, free_thing);
}

INIT
{
	published = kzalloc(sizeof(*published), GFP_KERNEL);
	published->value = 42;
	kref_init(&published->kref);
}

TASK(0, owner)
{
	struct thing *thing = published;

	rcu_assign_pointer(published, NULL);
	kref_put(&thing->kref, release);
}

TASK(1, finder)
{
	struct thing *thing;

	rcu_read_lock();
	thing = rcu_dereference(published);
	if (thing && !kref_get_unless_zero(&thing->kref))
		thing = NULL;
	rcu_read_unlock();
	if (!thing)
		return;
	claim(thing->value == 42, thing->value);
	kref_put(&thing->kref, release);
}
