// SPDX-License-Identifier: MIT
/* The handler of a device is a reader of RCU to its last line, also where interrupts are on. */
#include <explore.h>
#include <kernel/rcu.h>
#include <kernel/sched.h>
#include <kernel/slab.h>

static u64 *shared;

INIT
{
	shared = kzalloc(sizeof(*shared), GFP_KERNEL);
}

IRQ(0, 1, reader)
{
	const u64 *value = rcu_dereference(shared);

	local_irq_enable();
	preempt_disable();
	preempt_enable();
	if (value)
		claim(READ_ONCE(*value) == 0, *value);
	local_irq_disable();
}

TASK(0, interrupted)
{
	cond_resched();
}

TASK(1, updater)
{
	u64 *old = shared;

	WRITE_ONCE(shared, NULL);
	synchronize_rcu();
	kfree(old);
}
