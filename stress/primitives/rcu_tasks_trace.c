// SPDX-License-Identifier: MIT
/* What a reader of tasks-trace has found stays until it says that it ends, though it sleeps. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/mutex.h>
#include <kernel/rcu_tasks_trace.h>
#include <kernel/slab.h>

struct element {
	u64 value;
};

static struct element *shared;
static DEFINE_MUTEX(lock);
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

static void read_element(const struct element *element)
{
	u64 value = READ_ONCE(element->value);

	claim(value == 1 || value == 2, value);
}

TASK(0, updater)
{
	struct element *old = shared;

	mutex_lock(&lock);
	smp_store_release(&shared, make(2));
	mutex_unlock(&lock);
	complete(&replaced);
	synchronize_rcu_tasks_trace();
	kfree(old);
}

/* They nest; it sleeps in the inner one. */
TASK(1, sleeper)
{
	const struct element *element;

	rcu_read_lock_trace();
	element = smp_load_acquire(&shared);
	rcu_read_lock_trace();
	wait_for_completion(&replaced);
	rcu_read_unlock_trace();
	read_element(element);
	rcu_read_unlock_trace();
}

/* It may sleep, and nothing changes meanwhile. */
TASK(1, other)
{
	rcu_read_lock_trace();
	mutex_lock(&lock);
	read_element(smp_load_acquire(&shared));
	mutex_unlock(&lock);
	rcu_read_unlock_trace();
}
