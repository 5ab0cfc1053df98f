// SPDX-License-Identifier: MIT
/* A section that ends where preemption or interrupts are off is reported when they are on. */
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
	const u64 *value = rcu_dereference(shared);

	if (value)
		claim(READ_ONCE(*value) == 0, *value);
}

/* Takes the CPU from a reader when it wakes. */
TASK(0, other)
{
	wait_for_completion(&wanted);
}

/* After its last line its CPU has nothing to switch to. */
TASK(0, with_interrupts_off)
{
	rcu_read_lock();
	read();
	local_irq_disable();
	rcu_read_unlock();
	read();
	local_irq_enable();
}

TASK(1, with_preemption_off)
{
	rcu_read_lock();
	preempt_disable();
	rcu_read_unlock();
	read();
	preempt_enable();
}

TASK(2, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	complete(&wanted);
	synchronize_rcu();
	kfree(old);
}
