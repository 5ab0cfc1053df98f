// SPDX-License-Identifier: MIT
/* Readers in an interrupt and in an NMI, also where a task is about to end its own section. */
#include <explore.h>
#include <kernel/completion.h>
#include <kernel/rcu.h>
#include <kernel/slab.h>

static u64 *shared;
static DECLARE_COMPLETION(wanted);

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

static void read(void)
{
	const u64 *value;

	rcu_read_lock();
	value = rcu_dereference(shared);
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	rcu_read_unlock();
}

IRQ(0, 1, device)
{
	read();
}

NMI(0, 1, nmi)
{
	read();
}

/* Takes the CPU from the reader when it wakes. */
TASK(0, other)
{
	wait_for_completion(&wanted);
}

TASK(0, reader)
{
	read();
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	complete(&wanted);
	synchronize_rcu();
	kfree(old);
}
