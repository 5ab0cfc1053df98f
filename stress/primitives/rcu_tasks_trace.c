// SPDX-License-Identifier: MIT
/* What a reader of tasks-trace has found stays until it says that it ends, though it sleeps. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/slab.h>

struct element {
	u64 value;
};

static struct element *shared;
static DECLARE_COMPLETION(replaced);

static struct element *make(u64 value)
{
	struct element *element = kmalloc(sizeof(*element), GFP_KERNEL);

	element->value = value;
	return element;
}

INIT
{
	shared = make(1);
}

TASK(0, updater)
{
	struct element *old = shared;

	smp_store_release(&shared, make(2));
	complete(&replaced);
	synchronize_rcu_tasks_trace();
	kfree(old);
}

/* They nest; it sleeps in the inner one, and ends it at once when it wakes. */
TASK(1, sleeper)
{
	const struct element *element;
	u64 value;

	rcu_read_lock_trace();
	element = smp_load_acquire(&shared);
	rcu_read_lock_trace();
	wait_for_completion(&replaced);
	rcu_read_unlock_trace();
	value = READ_ONCE(element->value);
	claim(value == 1 || value == 2, value);
	rcu_read_unlock_trace();
}

TASK(1, other)
{
	const struct element *element;
	u64 value;

	rcu_read_lock_trace();
	element = smp_load_acquire(&shared);
	value = READ_ONCE(element->value);
	claim(value == 1 || value == 2, value);
	rcu_read_unlock_trace();
}
